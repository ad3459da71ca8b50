"""Evidence: pictures, classifiers, and whether augmentation helps."""
