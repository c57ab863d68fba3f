"""The engines of this project and of torch, each trained through its own public API."""
