"""Problems: what is trained. A model, data, a loss and an optimiser, in torch's names."""
