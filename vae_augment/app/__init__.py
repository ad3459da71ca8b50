"""The page of `vae-augment explore`.

What it shows is computed by functions that know nothing of Gradio; `page` alone knows it.
"""
