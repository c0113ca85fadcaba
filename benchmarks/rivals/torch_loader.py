"""PyTorch with a DataLoader: ``python benchmarks/rivals/torch_loader.py MODEL PHOTOS OUT.csv``.

Two processes decode ahead, batches of 32, ``inference_mode``, channels last: what PyTorch's guides
say for processors. The network is Keras's Xception, layer for layer, written out here: timm's
``legacy_xception`` is the same, but timm needs a torchvision that was built for this PyTorch, which
registries do not have for processors alone. It gets random weights, since no speed depends on them;
of MODEL only the size and the classes are read.
"""

from __future__ import annotations

import os
from itertools import pairwise

import torch
from plain import Card, Run, arguments, pixels_of
from torch import Tensor, nn

BATCH = 32
THREADS = len(os.sched_getaffinity(0))


class Photos(torch.utils.data.Dataset[Tensor]):
    """Photos as ``float32 (3, height, width)``, -1 to 1."""

    def __init__(self, paths: list[str], card: Card) -> None:
        self.paths, self.card = paths, card

    def __len__(self) -> int:
        """How many there are."""
        return len(self.paths)

    def __getitem__(self, index: int) -> Tensor:
        """One of them."""
        pixels = torch.tensor(pixels_of(self.paths[index], self.card))
        return pixels.permute(2, 0, 1).float() / 127.5 - 1


class Block(nn.Module):
    """Separable convolutions beside a shortcut, which has a convolution where the size changes."""

    def __init__(self, widths: tuple[int, ...], *, shrink: bool, relu_first: bool = True) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for before, after in pairwise(widths):
            layers += [nn.ReLU(), *separable(before, after)]
        layers = layers if relu_first else layers[1:]
        self.path = nn.Sequential(*layers, *([nn.MaxPool2d(3, 2, 1)] if shrink else []))
        first, last = widths[0], widths[-1]
        beside = nn.Sequential(nn.Conv2d(first, last, 1, 2, bias=False), nn.BatchNorm2d(last))
        self.beside = beside if shrink else nn.Identity()

    def forward(self, maps: Tensor) -> Tensor:
        """Apply it."""
        return self.path(maps) + self.beside(maps)


def separable(before: int, after: int) -> list[nn.Module]:
    """A convolution of each channel, then one over channels."""
    return [
        nn.Conv2d(before, before, 3, padding=1, groups=before, bias=False),
        nn.Conv2d(before, after, 1, bias=False),
        nn.BatchNorm2d(after),
    ]


def xception(classes: int) -> nn.Sequential:
    """The network of Chollet (2017), as keras.applications has it."""
    return nn.Sequential(
        *(nn.Conv2d(3, 32, 3, 2, bias=False), nn.BatchNorm2d(32), nn.ReLU()),
        *(nn.Conv2d(32, 64, 3, bias=False), nn.BatchNorm2d(64), nn.ReLU()),
        Block((64, 128, 128), shrink=True, relu_first=False),
        Block((128, 256, 256), shrink=True),
        Block((256, 728, 728), shrink=True),
        *(Block((728, 728, 728, 728), shrink=False) for _ in range(8)),
        Block((728, 728, 1024), shrink=True),
        *(*separable(1024, 1536), nn.ReLU(), *separable(1536, 2048), nn.ReLU()),
        *(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(2048, classes), nn.Softmax(1)),
    )


def main() -> None:
    """Classify and report."""
    options = arguments(__doc__).parse_args()
    card = Card.from_file(options.model)
    run = Run(options)
    torch.set_num_threads(THREADS)
    model = xception(len(card.classes)).eval().to(memory_format=torch.channels_last)
    loader = torch.utils.data.DataLoader(
        Photos(run.photos, card), batch_size=BATCH, num_workers=THREADS
    )
    run.ready()
    with torch.inference_mode():
        rows = [model(photos.contiguous(memory_format=torch.channels_last)) for photos in loader]
    run.finish(torch.cat(rows).numpy(), card.classes, f"torch {torch.__version__}")


if __name__ == "__main__":
    main()
