"""The rules: every operation as a forward function with its derivatives directly beneath it.

A rule makes NumPy calls and nothing else. Its forward function takes arrays (and options after the
`*`) and returns an array. Beneath it there is one derivative for each differentiable input, found
by its name: `mul_backward_y` is the derivative of `mul` by its input `y`. A
derivative takes `grad_out`, the gradient of the result by the rule's output, and asks for whatever
else it needs *by naming it*:

    an input's name    `x`         the value of that input
    `out`                          the value of the output
    an input's shape   `x_shape`   its shape alone, so that the value need not be kept
    an option's name   `axis`      the option the forward function was called with;
                                   `indices` are arrays, and count as values
    `position`, `xs_shapes`        which input it is, and every input's shape, in a rule with `*xs`

What a derivative names is what the tape saves, and nothing else. A gradient may be returned in
the broadcast shape: the sweep sums it down to the input's shape (`minigrad.tape.unbroadcast`).

Rules only make the NumPy calls listed in `minigrad.vocabulary`. Every array type that implements
these can flow through them.
"""

from minigrad.ops import (
    activation,
    clamping,
    comparison,
    elementwise,
    extrema,
    indexing,
    linalg,
    loss,
    reduction,
    shape,
)
from minigrad.ops.rule import Plan, Rule, rules_of

RULES: dict[str, Rule] = {
    rule.name: rule
    for module in (
        *(elementwise, activation, clamping, comparison, reduction, extrema),
        *(shape, linalg, indexing, loss),
    )
    for rule in rules_of(module)
}
"""Every rule by its name."""

RULE_OF = {rule.forward: rule for rule in RULES.values()}
"""Every rule by its forward function, where its derivatives stand beneath."""

__all__ = ["RULES", "RULE_OF", "Plan", "Rule", "rules_of"]
