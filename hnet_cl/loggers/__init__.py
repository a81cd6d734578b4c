"""What listens to a run beside the recorder: console, TensorBoard, pictures."""
