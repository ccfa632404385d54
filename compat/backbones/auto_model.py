"""Pre-trained encoders of texts and images through ``transformers``' `AutoModel`."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any, Literal

from torch import Tensor, nn

from registry.errors import BackendUnavailableError, InvalidInputError, NotFoundError


@dataclass(frozen=True, slots=True)
class Options:
    """Which network, and how its states become one vector.

    Attributes:
        model: name on the hub, or a folder; its weights are the first ones.
        config: the network's configuration instead of a name; its weights are fresh. A version that
            is registered keeps this one, so that loading it asks no hub.
        pooling: the mean of the last states over the places that are no padding, or the first one.
        dim: features after a linear layer; None gives the states as they are.
        padding_id: which token is padding.
    """

    model: str | None = None
    config: dict[str, object] = field(default_factory=dict)
    pooling: Literal["mean", "cls"] = "mean"
    dim: int | None = None
    padding_id: int = 0

    def __post_init__(self) -> None:
        if (self.model is None) == (not self.config):
            raise InvalidInputError("backbone 'transformers' needs model or config, one of them")
        if self.dim is not None and self.dim < 1:
            raise InvalidInputError(f"dim must be at least 1 but got {self.dim}")


class AutoModelBackbone(nn.Module):
    """The pooled last states of a network of ``transformers``, and perhaps a linear layer.

    Attributes:
        network: what `AutoModel` gives.
        linear: to `dim` features, or nothing.
        rebuild_options: the options by which it is built again without asking a hub.
    """

    def __init__(self, network: nn.Module, options: Options) -> None:
        super().__init__()
        config: Any = network.config
        self.network = network
        self.is_mean = options.pooling == "mean"
        self.padding_id = options.padding_id
        self.linear = (
            nn.Identity() if options.dim is None else nn.Linear(config.hidden_size, options.dim)
        )
        self.rebuild_options: dict[str, object] = {
            "config": _written_out(config),
            "pooling": options.pooling,
            "dim": options.dim,
            "padding_id": options.padding_id,
        }

    def forward(self, inputs: Tensor) -> Tensor:
        """Return features.

        Args:
            inputs: token numbers, whole though they come as floats, or images.
                Shape: (n, length) or (n, channels, height, width).

        Returns:
            Features. Shape: (n, dim).

        Raises:
            InvalidInputError: if they are neither.
        """
        if inputs.ndim == 4:
            states = self.network(pixel_values=inputs).last_hidden_state
            mask = states.new_ones(states.shape[:2])
        elif inputs.ndim == 2:
            tokens = inputs.long()
            mask = tokens != self.padding_id
            states = self.network(input_ids=tokens, attention_mask=mask.long()).last_hidden_state
        else:
            raise InvalidInputError(
                f"inputs of shape {tuple(inputs.shape[1:])} are neither tokens nor images",
                hint="give token numbers (n, length), or images (n, channels, height, width)",
            )
        features: Tensor = self.linear(self._pooled(states, mask))
        return features

    def _pooled(self, states: Tensor, mask: Tensor) -> Tensor:
        if not self.is_mean:
            return states[:, 0]
        weights = mask.to(states.dtype).unsqueeze(2)
        return (states * weights).sum(dim=1) / weights.sum(dim=1).clamp(min=1)


def build(options: Options) -> nn.Module:
    """Return the network.

    Raises:
        BackendUnavailableError: if ``transformers`` is not installed.
        NotFoundError: if the hub or the folder has no such model.
        InvalidInputError: if the configuration is none.
    """
    try:
        from transformers import AutoConfig, AutoModel  # noqa: PLC0415 -- an extra
    except ModuleNotFoundError as error:
        raise BackendUnavailableError(
            f"backbone 'transformers' needs {error.name}, which is not installed",
            hint="pip install 'samespace[transformers]'",
        ) from error
    if options.model is not None:
        try:
            network = AutoModel.from_pretrained(options.model)
        except OSError as error:
            reason = str(error).strip().partition("\n")[0]
            raise NotFoundError(f"there is no model {options.model!r}: {reason}") from error
    else:
        try:
            network = AutoModel.from_config(AutoConfig.for_model(**options.config))
        except (ValueError, TypeError) as error:
            reason = str(error).strip().partition("\n")[0]
            raise InvalidInputError(f"the config is none of transformers: {reason}") from error
    return AutoModelBackbone(network.float(), options)


def _written_out(config: Any) -> dict[str, object]:
    """Return all that determines the network, as JSON values without names of places."""
    left_out = {"_name_or_path", "transformers_version", "architectures", "torch_dtype", "dtype"}
    written: dict[str, object] = json.loads(config.to_json_string(use_diff=False))
    return {key: value for key, value in written.items() if key not in left_out}
