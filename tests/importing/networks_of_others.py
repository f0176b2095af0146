"""Small networks as other people write them: none of them knows hwnas."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional


def settled(module: nn.Module, seed: int = 0) -> nn.Module:
    """The module in eval mode, with weights and statistics that only the seed decides."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for layer in module.modules():
            if isinstance(layer, nn.Conv2d | nn.Linear):
                fan = layer.weight[0].numel()
                layer.weight.normal_(0, (2 / fan) ** 0.5, generator=generator)
                if layer.bias is not None:
                    layer.bias.normal_(0, 0.1, generator=generator)
            elif isinstance(layer, nn.BatchNorm2d):
                layer.weight.uniform_(0.5, 1.5, generator=generator)
                layer.bias.normal_(0, 0.1, generator=generator)
                layer.running_mean.normal_(0, 0.1, generator=generator)
                layer.running_var.uniform_(1, 2, generator=generator)
    return module.eval()


def conv_bn(cin: int, cout: int, k: int, s: int = 1, groups: int = 1, act: type[nn.Module] | None = nn.ReLU6):
    layers = [nn.Conv2d(cin, cout, k, s, k // 2, groups=groups, bias=False), nn.BatchNorm2d(cout, eps=1e-3)]
    return nn.Sequential(*layers, *([act()] if act else []))


class Inverted(nn.Module):
    """MobileNetV2's."""

    def __init__(
        self, cin: int, cout: int, s: int = 1, ratio: int = 4, k: int = 3, act=nn.ReLU6, squeeze=None
    ):
        super().__init__()
        hidden = cin * ratio
        self.use_res = s == 1 and cin == cout
        self.conv = nn.Sequential(
            *([conv_bn(cin, hidden, 1, act=act)] if ratio > 1 else []),
            conv_bn(hidden, hidden, k, s, hidden, act),
            squeeze(hidden) if squeeze else nn.Identity(),
            conv_bn(hidden, cout, 1, act=None),
        )

    def forward(self, x):
        return x + self.conv(x) if self.use_res else self.conv(x)


class Squeeze(nn.Module):
    """Squeeze-excite; the gate may be written out."""

    def __init__(self, channels: int, gate: str = "hard"):
        super().__init__()
        self.gate = gate
        self.fc1, self.fc2 = nn.Conv2d(channels, channels // 4, 1), nn.Conv2d(channels // 4, channels, 1)

    def forward(self, x):
        y = self.fc2(functional.relu(self.fc1(x.mean((2, 3), keepdim=True))))
        if self.gate == "written":
            return functional.relu6(y + 3) / 6 * x
        return x * (functional.hardsigmoid(y) if self.gate == "hard" else torch.sigmoid(y))


class Mobile(nn.Module):
    """MobileNetV2, with its functional ending."""

    def __init__(self, act=nn.ReLU6, squeeze=None, classes: int = 5):
        super().__init__()
        self.features = nn.Sequential(
            conv_bn(3, 8, 3, 2, act=act),
            Inverted(8, 8, ratio=1, act=act),
            Inverted(8, 12, 2, act=act, squeeze=squeeze),
            Inverted(12, 12, k=5, act=act, squeeze=squeeze),
            conv_bn(12, 24, 1, act=act),
        )
        self.drop, self.classifier = nn.Dropout(0.2), nn.Linear(24, classes)

    def forward(self, x):
        x = functional.adaptive_avg_pool2d(self.features(x), (1, 1))
        return self.classifier(self.drop(torch.flatten(x, 1)))


class WrittenSwish(nn.Module):
    """Hard swish in its operators."""

    def forward(self, x):
        return x * functional.relu6(x + 3) / 6


class Residual(nn.Module):
    """ResNet's, basic or with a bottleneck of groups."""

    def __init__(self, cin: int, cout: int, s: int = 1, hidden: int = 0, groups: int = 1):
        super().__init__()
        if hidden:
            self.body = nn.Sequential(
                conv_bn(cin, hidden, 1, act=nn.ReLU),
                conv_bn(hidden, hidden, 3, s, groups, nn.ReLU),
                conv_bn(hidden, cout, 1, act=None),
            )
        else:
            self.body = nn.Sequential(conv_bn(cin, cout, 3, s, act=nn.ReLU), conv_bn(cout, cout, 3, act=None))
        self.down = conv_bn(cin, cout, 1, s, act=None) if s > 1 or cin != cout else nn.Identity()
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x):
        y = self.body(x)
        y += self.down(x)
        return self.relu(y)


class ResNet(nn.Module):
    def __init__(self, classes: int = 5):
        super().__init__()
        self.stem = nn.Sequential(conv_bn(3, 8, 7, 2, act=nn.ReLU), nn.MaxPool2d(3, 2, 1))
        self.body = nn.Sequential(
            Residual(8, 8),
            Residual(8, 16, 2),
            Residual(16, 32, 1, hidden=8, groups=2),
            Residual(32, 32, 2, hidden=8),
        )
        self.fc = nn.Linear(32, classes)

    def forward(self, x):
        return self.fc(self.body(self.stem(x)).mean((2, 3)))


class Fire(nn.Module):
    """SqueezeNet's: no batch norms, a concatenation."""

    def __init__(self, cin: int, squeezed: int, out: int):
        super().__init__()
        self.squeeze = nn.Conv2d(cin, squeezed, 1)
        self.one, self.three = nn.Conv2d(squeezed, out, 1), nn.Conv2d(squeezed, out, 3, padding=1)

    def forward(self, x):
        x = functional.relu(self.squeeze(x))
        return torch.cat([functional.relu(self.one(x)), functional.relu(self.three(x))], 1)


def squeezenet(classes: int = 5) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 16, 3, 2), nn.ReLU(), nn.MaxPool2d(3, 2, ceil_mode=True),
        Fire(16, 4, 8), nn.MaxPool2d(3, 2, ceil_mode=True), Fire(16, 8, 12),
        nn.Conv2d(24, classes, 1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
    )  # fmt: skip


class Shuffled(nn.Module):
    """ShuffleNetV2's unit at stride 1, with its shuffle written out."""

    def __init__(self, channels: int):
        super().__init__()
        half = channels // 2
        self.branch = nn.Sequential(
            conv_bn(half, half, 1, act=nn.ReLU),
            conv_bn(half, half, 3, 1, half, None),
            conv_bn(half, half, 1, act=nn.ReLU),
        )

    def forward(self, x):
        left, right = x.chunk(2, dim=1)
        x = torch.cat((left, self.branch(right)), dim=1)
        n, c, h, w = x.shape
        return x.view(n, 2, c // 2, h, w).transpose(1, 2).contiguous().view(n, c, h, w)


class Preactivated(nn.Module):
    """DenseNet's layer: what normalises has no convolution before it."""

    def __init__(self, channels: int):
        super().__init__()
        self.norm, self.conv = nn.BatchNorm2d(channels), nn.Conv2d(channels, 8, 3, padding=1, bias=False)

    def forward(self, x):
        return torch.cat([x, self.conv(functional.relu(self.norm(x)))], 1)


class Segmenter(nn.Module):
    """Answers for every pixel, coarse features made finer."""

    def __init__(self, classes: int = 3):
        super().__init__()
        self.fine, self.coarse = conv_bn(3, 8, 3, 2, act=nn.ReLU), conv_bn(8, 8, 3, 2, act=nn.ReLU)
        self.gate, self.last = nn.Conv2d(8, 8, 1), nn.Conv2d(8, classes, 1)

    def forward(self, x):
        fine = self.fine(x)
        coarse = self.coarse(fine)
        coarse = coarse * torch.sigmoid(self.gate(coarse.mean((2, 3), keepdim=True)))
        up = functional.interpolate(coarse, scale_factor=2, mode="bilinear", align_corners=False)
        return self.last(fine + up)


def tiny() -> nn.Module:
    """The least that has all that weights are of."""
    return nn.Sequential(conv_bn(3, 8, 3, 2), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 5))


def networks() -> dict[str, nn.Module]:
    """By name."""
    pooled = nn.AdaptiveAvgPool2d(1), nn.Flatten()
    return {
        "mobilenet": Mobile(),
        "hard swish and squeeze": Mobile(nn.Hardswish, Squeeze),
        "written out": Mobile(WrittenSwish, lambda c: Squeeze(c, "written")),
        "swish": Mobile(nn.SiLU, lambda c: Squeeze(c, "sigmoid")),
        "resnet": ResNet(),
        "squeezenet": squeezenet(),
        "shuffled": nn.Sequential(conv_bn(3, 16, 3, 2), Shuffled(16), *pooled, nn.Linear(16, 5)),
        "preactivated": nn.Sequential(
            conv_bn(3, 8, 3, 2),
            *(Preactivated(8), Preactivated(16)),
            *(nn.BatchNorm2d(24), nn.ReLU(), *pooled),
            *(nn.Linear(24, 16), nn.ReLU(), nn.Linear(16, 5)),
        ),
        "segmenter": Segmenter(),
        "averaged": nn.Sequential(
            *(conv_bn(3, 8, 3, 2), nn.AvgPool2d(2), conv_bn(8, 8, 3), nn.AvgPool2d(3, 1, 1)),
            *(
                nn.Conv2d(8, 12, (2, 3), padding="same", dilation=(1, 2)),
                nn.ReLU(),
                nn.AvgPool2d(8),
                nn.Flatten(),
                nn.Linear(12, 5),
            ),
        ),
        "odd kernels": nn.Sequential(
            *(nn.ZeroPad2d((1, 2, 0, 1)), nn.Conv2d(3, 8, (2, 3), (2, 1)), nn.ReLU()),
            *(nn.Conv2d(8, 8, (1, 7), padding=(0, 3)), nn.Hardswish()),
            *(nn.Conv2d(8, 8, 3, padding=(1, 2), dilation=(1, 2), groups=8), nn.ReLU()),
            *(nn.Conv2d(8, 8, 3, 2, padding=2, dilation=2), *pooled, nn.Linear(8, 5)),
        ),
    }
