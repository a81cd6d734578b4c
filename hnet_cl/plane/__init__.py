"""The plane of a hypernetwork's task embeddings: how well the network that each of its points generates does a task."""
