"""torch's CPU random number generator, bit for bit, on NumPy arrays.

The source of bits is the 32-bit Mersenne Twister MT19937 (Matsumoto and Nishimura 1998), which
NumPy has, too. This repeats, operation by operation, how torch seeds it and how torch makes
uniform and normal numbers of its bits, fused multiply-adds included.

The reference is torch 2.13 on x86-64 with AVX2 and FMA. Where torch runs other kernels (on another
processor, or with ``ATEN_CPU_CAPABILITY=default``), the last bits of its numbers differ.
"""

from minigrad.random.generator import Generator

__all__ = [
    "Generator",
    "default_generator",
    "get_rng_state",
    "initial_seed",
    "manual_seed",
    "seed",
    "set_rng_state",
]

default_generator = Generator()
default_generator.seed()


def chosen(operation: str, generator: Generator | None) -> Generator:
    """Return the generator that an operation draws from: the default one if it is None."""
    if generator is not None and not isinstance(generator, Generator):
        raise TypeError(
            f"{operation}: generator must be a Generator or None, not {type(generator).__name__}"
        )
    return default_generator if generator is None else generator


def manual_seed(seed: int) -> Generator:
    """Seed the generator that everything draws from by default, and return it.

    As `torch.manual_seed` does, this converts `seed` with ``int(seed)`` first.

    Raises:
        TypeError, ValueError: `seed` is not a number, or outside [-2**63, 2**64 - 1].
    """
    return default_generator.manual_seed(int(seed))


initial_seed = default_generator.initial_seed
seed = default_generator.seed
get_rng_state = default_generator.get_state
set_rng_state = default_generator.set_state
