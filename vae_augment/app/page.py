"""Gradio's components of the page, and what happens when one of them moves."""

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ..errors import InputError, VAEAugmentError
from ..model.pixels import PIL_MODES
from ..model.vae_model import VAEModel
from . import html
from .originals import Originals, dropped
from .perturbing import Settings, has_residual, perturb, usable_modes
from .samples import (
    PER_CLASS,
    SHOWN_AT_FIRST,
    Drawn,
    Sample,
    can_draw,
    classes_to_choose,
    draw_line,
    draw_samples,
)

STRONGEST = 6.0
MOST_CLASSES = 20  # whose samples are drawn at once


def build(model: VAEModel, name: str, originals: Originals, facts: Mapping[str, object]) -> Any:
    """The page as `gradio.Blocks`; arguments and `InputError` as for `serve`."""
    channels = model.spec.image_shape[0]
    if channels not in PIL_MODES:
        raise InputError(
            f"{model.name!r} has images of {channels} channels; only those of 1 or 3 can be shown."
        )
    gr = gradio()
    title = f"vae-augment: {model.name}"
    with gr.Blocks(title=title, analytics_enabled=False, fill_width=True) as page:
        gr.HTML(html.heading(model), elem_id="heading")
        with gr.Tab("Perturb"):
            _perturbing(page, model, name, originals)
        if can_draw(model):
            with gr.Tab("Samples"):
                _sampling(page, model, name)
        with gr.Tab("About"):
            gr.HTML(html.fact_list(facts), elem_id="facts")
    return page


def _perturbing(page: Any, model: VAEModel, name: str, originals: Originals) -> None:
    gr = gradio()
    modes = usable_modes(model)
    classes = [("that of the image", ""), *((each, each) for each in classes_to_choose(model))]
    can_keep = has_residual(model)
    with gr.Row():
        with gr.Column(scale=1, min_width=260, elem_id="controls"):
            file = gr.File(label="Drop an image", height=120, elem_id="file")
            last = len(originals) - 1
            number = gr.Slider(
                0, last, 0, step=1, label="or take number", visible=last > 0, elem_id="number"
            )
            strength = gr.Slider(0, STRONGEST, 1, step=0.1, label="strength", elem_id="strength")
            mode = gr.Radio(modes, value=modes[0], label="mode", visible=len(modes) > 1)
            label = gr.Dropdown(classes, value="", label="class", visible=False, elem_id="class")
            p = gr.Slider(0, 1, 1, step=0.05, label="p", elem_id="p")
            residual = gr.Checkbox(can_keep, label="residual", visible=can_keep)
            seed = gr.Number(0, label="seed", minimum=0, precision=0, elem_id="seed")
        with gr.Column(scale=3, min_width=320, elem_id="shown"):
            pictures = gr.HTML(elem_id="pictures")
            code = _code_box("code")

    def show(path: str | None, index: int, *values: Any) -> tuple[str, str]:
        def answer() -> tuple[str, str]:
            shape = model.spec.image_shape
            original = dropped(Path(path), shape) if path else originals.original(int(index), shape)
            perturbed = perturb(model, name, original, _settings(*values))
            return html.perturbed_panels(original, perturbed), perturbed.code

        return _answered(answer)

    controls = [file, number, mode, strength, p, residual, label, seed]
    changes = [page.load, *(each.change for each in controls)]
    _on(changes, show, controls, [pictures, code])
    number.input(None, None, file, js="() => null")  # the number counts, and no longer the file
    mode.change(lambda chosen: gr.update(visible=chosen == "prior"), mode, label, queue=False)


def _sampling(page: Any, model: VAEModel, name: str) -> None:
    gr = gradio()
    classes = list(classes_to_choose(model))
    has_classes = bool(classes)
    last = PER_CLASS - 1
    with gr.Row():
        labels = gr.Dropdown(
            classes,
            value=classes[:SHOWN_AT_FIRST],
            multiselect=True,
            max_choices=MOST_CLASSES,
            label="classes",
            visible=has_classes,
            scale=4,
            elem_id="labels",
        )
        seed = gr.Number(0, label="seed", minimum=0, precision=0, scale=1, min_width=90)
    samples = gr.HTML(elem_id="samples")
    samples_code = _code_box("samples-code")
    gr.HTML(html.LINE_HEADING)
    with gr.Row():
        start_label = gr.Dropdown(
            classes, value=(classes or [""])[0], label="from class", visible=has_classes
        )
        start = gr.Slider(0, last, 0, step=1, label="from sample", elem_id="start")
        end_label = gr.Dropdown(
            classes, value=(classes or [""])[-1], label="to class", visible=has_classes
        )
        end = gr.Slider(0, last, last, step=1, label="to sample", elem_id="end")
    line = gr.HTML(elem_id="line")
    line_code = _code_box("line-code")

    def show_samples(chosen: list[str], first: int) -> tuple[str, str]:
        return _drawn(lambda: draw_samples(model, name, chosen, int(first or 0)))

    def show_line(
        from_label: str, from_number: int, to_label: str, to_number: int, first: int
    ) -> tuple[str, str]:
        start = Sample(from_label or "", int(from_number))
        end = Sample(to_label or "", int(to_number))
        return _drawn(lambda: draw_line(model, name, start, end, int(first or 0)))

    chosen = [labels, seed]
    changes = [page.load, *(each.change for each in chosen)]
    _on(changes, show_samples, chosen, [samples, samples_code])
    ends = [start_label, start, end_label, end, seed]
    changes = [page.load, *(each.change for each in ends)]
    _on(changes, show_line, ends, [line, line_code])


def _settings(
    mode: str, strength: float, p: float, residual: bool, label: str | None, seed: int | None
) -> Settings:
    """The controls' values; a list or a number that was emptied is None."""
    return Settings(mode, strength, p, residual, label or "", int(seed or 0))


def _code_box(elem_id: str) -> Any:
    return gradio().Code(
        language="python", label="The same in Python", lines=1, wrap_lines=True, elem_id=elem_id
    )


def _on(
    events: list[Callable[..., Any]],
    function: Callable[..., Any],
    inputs: list[Any],
    outputs: list[Any],
) -> None:
    """Call the function at each event; of those that come while it runs, only at the last."""
    gradio().on(
        events,
        function,
        inputs,
        outputs,
        queue=False,
        show_progress="hidden",
        trigger_mode="always_last",
        api_visibility="private",
    )


def _drawn(draw: Callable[[], Drawn]) -> tuple[str, str]:
    def answer() -> tuple[str, str]:
        drawn = draw()
        return html.image_rows(drawn.rows), drawn.code

    return _answered(answer)


def _answered(answer: Callable[[], tuple[str, str]]) -> tuple[str, str]:
    """Pictures and code; where there is an error, what it says and no code."""
    try:
        return answer()
    except VAEAugmentError as error:
        return html.message(error), ""


def gradio() -> Any:
    """The package gradio; `InputError`, which says how to get it, where it is missing."""
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"  # read when gradio is imported
    try:
        import gradio as package
    except ImportError:
        raise InputError(
            "vae-augment explore needs gradio. Install it: pip install gradio."
        ) from None
    return package
