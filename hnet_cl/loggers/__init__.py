"""The loggers of a run besides the recorder: console, pictures, TensorBoard, MLflow, Weights & Biases."""
