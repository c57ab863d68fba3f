"""A dataset in batches, shuffled in torch's own order.

>>> from minigrad import tensor
>>> dataset = TensorDataset(tensor([1.0, 2.0, 3.0]), tensor([1, 4, 9]))
>>> for x, y in DataLoader(dataset, batch_size=2):
...     print(x, y)
tensor([1., 2.]) tensor([1, 4])
tensor([3.]) tensor([9])
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

from minigrad.dtypes import float64
from minigrad.from_data import from_numpy, tensor
from minigrad.random import Generator, chosen
from minigrad.random_tensors import randperm
from minigrad.tensor import Tensor
from minigrad.tensor.joining import stack


class Dataset:
    """Base of datasets: a subclass defines `__getitem__`, one sample, and `__len__`."""

    def __getitem__(self, index: int) -> Any:
        raise NotImplementedError("Subclasses of Dataset should implement __getitem__.")


class TensorDataset(Dataset):
    """Samples that are rows of tensors: sample i is the tuple of each tensor's row i.

    Raises:
        AssertionError: the tensors are not of equal length.
    """

    def __init__(self, *tensors: Tensor) -> None:
        if any(t.size(0) != tensors[0].size(0) for t in tensors):
            lengths = [t.size(0) for t in tensors]
            raise AssertionError(f"Size mismatch between tensors: their lengths are {lengths}")
        self.tensors = tensors

    def __getitem__(self, index: Any) -> tuple[Tensor, ...]:
        return tuple(t[index] for t in self.tensors)

    def __len__(self) -> int:
        length: Any = self.tensors[0].size(0)
        return int(length)


class DataLoader:
    """Batches of a dataset, for one `for` loop after the other; each may have another order.

    A batch has the form of a sample, with tensors that are stacked and numbers that are tensors; a
    tuple becomes a list. Which numbers are drawn, and from which generator, is as in torch, so that
    the order is torch's, and what is drawn afterwards.

    Args:
        dataset: has `__getitem__` for 0, 1, ... and `__len__`.
        batch_size: how many samples are a batch; the last may have fewer.
        shuffle: draw a new order for each loop.
        sampler: the order, in place of `shuffle`: its indices are read anew for each loop.
        collate_fn: makes a batch of a list of samples, if not in the way above.
        drop_last: leave out a last batch that has fewer.
        generator: draws the order; by default one that is seeded from the default generator.

    Raises:
        ValueError: the batch size is not positive, there is nothing to shuffle, a sampler is to be
            shuffled, or `drop_last` is no bool.
        TypeError: the generator is no Generator.
    """

    def __init__(
        self,
        dataset: Any,
        batch_size: int = 1,
        shuffle: bool | None = None,
        sampler: Iterable[int] | None = None,
        *,
        collate_fn: Callable[[list[Any]], Any] | None = None,
        drop_last: bool = False,
        generator: Generator | None = None,
    ) -> None:
        if not isinstance(batch_size, int) or isinstance(batch_size, bool) or batch_size <= 0:
            raise ValueError(
                "batch_size should be a positive integer value, but got "
                f"batch_size={batch_size}: len(dataset) makes one batch of all"
            )
        if not isinstance(drop_last, bool):
            raise ValueError(f"drop_last should be a boolean value, but got drop_last={drop_last}")
        if shuffle and sampler is not None:
            raise ValueError("sampler option is mutually exclusive with shuffle: leave one out")
        if shuffle and len(dataset) == 0:
            raise ValueError("DataLoader: there is nothing to shuffle: the dataset has no samples")
        chosen("DataLoader", generator)
        self.dataset = dataset
        self.batch_size = batch_size
        self.drop_last = drop_last
        self.generator = generator
        self.collate_fn = _collated if collate_fn is None else collate_fn
        self._shuffle, self._sampler = shuffle, sampler

    def __iter__(self) -> Iterator[Any]:
        # torch draws a seed for other processes, also where there are none.
        chosen("DataLoader", self.generator).integer()
        return self._batches()

    def __len__(self) -> int:
        indices: Any = self.dataset if self._sampler is None else self._sampler
        whole, rest = divmod(len(indices), self.batch_size)
        return whole + (rest > 0 and not self.drop_last)

    def _batches(self) -> Iterator[Any]:
        in_order = range(len(self.dataset)) if self._sampler is None else self._sampler
        indices = self._shuffled() if self._shuffle else iter(in_order)
        while batch := list(islice(indices, self.batch_size)):
            if len(batch) < self.batch_size and self.drop_last:
                return
            yield self.collate_fn([self.dataset[i] for i in batch])

    def _shuffled(self) -> Iterator[int]:
        source = self.generator
        if source is None:
            source = Generator().manual_seed(chosen("DataLoader", None).integer())
        yield from randperm(len(self.dataset), generator=source).tolist()
        randperm(len(self.dataset), generator=source)  # as torch, which takes nothing of it


def _collated(samples: Sequence[Any]) -> Any:
    """Return samples of one form as a batch of that form.

    Raises:
        TypeError: they are no tensors, arrays, numbers or texts, nor made of these.
        RuntimeError: their tensors differ in shape, or they in length.
    """
    first = samples[0]
    if isinstance(first, Tensor):
        return stack(samples)
    if type(first).__module__ == "numpy":
        arrays = [from_numpy(s) if hasattr(s, "__setitem__") else tensor(s) for s in samples]
        return stack(arrays)
    if isinstance(first, float):
        return tensor(samples, dtype=float64)
    if isinstance(first, int):
        return tensor(samples)
    if isinstance(first, (str, bytes)):
        return samples
    if isinstance(first, Mapping):
        return {key: _collated([sample[key] for sample in samples]) for key in first}
    if isinstance(first, (tuple, list)):
        if any(len(sample) != len(first) for sample in samples):
            raise RuntimeError(
                "DataLoader: each element in a batch should be of equal size, but there are "
                f"{sorted({len(sample) for sample in samples})} parts"
            )
        return [_collated(parts) for parts in zip(*samples, strict=True)]
    raise TypeError(
        f"DataLoader: a sample must be of tensors, arrays, numbers, dicts or lists, not "
        f"{type(first).__name__}: convert it in the dataset's __getitem__"
    )
