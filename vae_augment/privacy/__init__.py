"""What a model file gives away about its training images, and how to make one that is private."""
