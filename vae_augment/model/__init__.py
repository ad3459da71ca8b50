"""A checked .onnx file becomes a `VAEModel`: its spec, its sessions, and what it draws."""
