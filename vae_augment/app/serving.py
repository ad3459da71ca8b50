"""The page on a server of this machine alone.

It listens on 127.0.0.1, has no sharing link and no analytics, and its page fetches nothing from
elsewhere: fonts are those of the reader's system.
"""

import os
import tempfile
import threading
from collections.abc import Callable, Mapping
from typing import Any

from ..errors import InputError
from ..model.vae_model import VAEModel
from .html import CSS
from .originals import Originals
from .page import build, gradio

ADDRESS = "127.0.0.1"
MAX_FILE_SIZE = "20mb"
# On a phone the pictures stay in sight above the controls.
_CSS = (
    CSS
    + """
.gradio-container { max-width: 75rem !important; margin: 0 auto !important; }
.gradio-container, .gradio-container .app, .gradio-container .wrap, .gradio-container main {
  min-width: 0; max-width: 100%; }
#shown:has([role=alert]) #code { display: none; }
@media (max-width: 640px) {
  .gradio-container { overflow: visible !important; }
  .gradio-container .app { padding: .75rem !important; }
  #controls, #shown { display: contents !important; }
  #pictures { order: -1; position: sticky; top: 0; z-index: 60; padding: .5rem 0;
    background: var(--body-background-fill); }
  #code { order: 3; }
}
"""
)


def serve(
    model: VAEModel,
    name: str,
    originals: Originals,
    facts: Mapping[str, object],
    *,
    port: int | None = None,
    opens_browser: bool = True,
    ready: Callable[[str], None] = lambda address: None,
) -> None:
    """Show the page until Ctrl-C. The images that a person dropped are deleted then.

    Args:
        name: the argument of `load` that gave the model, for the Python that the page shows.
        originals: images to perturb beside those that a person drops.
        facts: what is to say about the file.
        port: None = the first free one from 7860 on.
        ready: called with the page's address once it can be opened.

    Raises:
        InputError: Gradio is missing, the model's images can't be shown, or the port is taken.
    """
    with tempfile.TemporaryDirectory() as uploads:
        os.environ["GRADIO_TEMP_DIR"] = uploads  # read when the page is built
        page = build(model, name, originals, facts)
        address = _launch(page, port, opens_browser)
        try:
            ready(address)
            threading.Event().wait()
        except KeyboardInterrupt:
            pass  # how a person ends it
        finally:
            page.close()


def _launch(page: Any, port: int | None, opens_browser: bool) -> str:
    """Start the server, and return its address."""
    try:
        _, address, _ = page.launch(
            server_name=ADDRESS,
            server_port=port,
            inbrowser=opens_browser,
            share=False,
            prevent_thread_lock=True,
            quiet=True,
            footer_links=[],
            run_history=False,
            enable_monitoring=False,
            ssr_mode=False,
            mcp_server=False,
            pwa=False,
            max_file_size=MAX_FILE_SIZE,
            theme=_theme(),
            head=f"<style>{_CSS}</style>",  # `css` would rewrite the selectors
        )
    except OSError as error:
        taken = "No port is free" if port is None else f"The port {port} is taken"
        raise InputError(f"{taken}. Give another: --port (port=).") from error
    return str(address)


def _theme() -> Any:
    return gradio().themes.Default(
        font=["system-ui", "sans-serif"], font_mono=["ui-monospace", "monospace"]
    )
