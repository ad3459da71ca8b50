"""Map-style datasets.

Generated images, real and generated ones together, and images that pass a transform.
"""
