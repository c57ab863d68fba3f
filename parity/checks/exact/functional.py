"""`torch.nn.functional`: activations, layers and losses as functions of tensors."""

from parity.checks.exact import functions, losses
from parity.checks.exact.lacking import lacking
from parity.checks.exact.operations import TORCH, recorded

relu, tanh, sigmoid = TORCH["relu"], TORCH["tanh"], TORCH["sigmoid"]
linear = recorded("linear", functions.linear)
leaky_relu = recorded("leaky_relu", losses.leaky_relu)
softplus = recorded("softplus", losses.softplus)
mse_loss = recorded("mse_loss", losses.mse_loss)
l1_loss = recorded("l1_loss", losses.l1_loss)
smooth_l1_loss = recorded("smooth_l1_loss", losses.smooth_l1_loss)
huber_loss = recorded("huber_loss", losses.huber_loss)

__getattr__ = lacking("nn.functional.")
