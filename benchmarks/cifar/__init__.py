"""The objectives side by side on CIFAR-100, 50 to 100 classes, with CIFAR-10 as the open set."""
