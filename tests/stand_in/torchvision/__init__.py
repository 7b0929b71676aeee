"""What facenet-pytorch imports of torchvision, for tests beside a torch that torchvision's binary does not fit."""
