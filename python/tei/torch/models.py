"""The article's light model: a text is the counts of its tokens."""

import torch
from torch import Tensor, nn
from transformers.modeling_outputs import SequenceClassifierOutput

__all__ = ["BagOfTokens"]


class BagOfTokens(nn.Module):
    """Linear classification of a text by how often each token occurs in it: logits `W c + b`.

    The count vector `c` over the vocabulary is never built: the rows of `W` that belong to a text's tokens are
    gathered and added up. `tei.torch.apply` resizes `W` like an embedding; with `init="sum"` a new token counts as the
    pieces that it replaces, so that the logits of every text stay what they were. Source: the article on Token
    Embedding Induction.

    Args:
        vocab_size: Number of tokens.
        num_labels: Number of classes.

    Example:
        >>> model = BagOfTokens(vocab_size=4, num_labels=2)
        >>> with torch.no_grad():
        ...     _ = model.weight.weight.copy_(torch.tensor([[0., 0], [1, 0], [0, 2], [9, 9]]))
        >>> model(torch.tensor([[1, 1, 2, -1]])).logits.tolist()
        [[2.0, 2.0]]
    """

    def __init__(self, vocab_size: int, num_labels: int) -> None:
        super().__init__()
        # Zero is the natural start of a linear model: the loss is convex, and tokens never seen stay without a say.
        self.weight = nn.EmbeddingBag(vocab_size, num_labels, mode="sum", _weight=torch.zeros(vocab_size, num_labels))
        self.bias = nn.Parameter(torch.zeros(num_labels))

    def forward(
        self, input_ids: Tensor, attention_mask: Tensor | None = None, labels: Tensor | None = None
    ) -> SequenceClassifierOutput:
        """Classifies texts.

        Args:
            input_ids: Integers `[texts, length]`; negative ones are padding.
            attention_mask: 0 where there is padding, `[texts, length]`.
            labels: Classes, int64 `[texts]`; with them the result has a loss.

        Returns:
            `loss`, the mean cross-entropy, and `logits` `[texts, num_labels]`.
        """
        counted = input_ids >= 0
        if attention_mask is not None:
            counted &= attention_mask.bool()
        share = counted.to(self.bias.dtype)
        logits = self.weight(input_ids.clamp(min=0), per_sample_weights=share) + self.bias
        loss = None if labels is None else nn.functional.cross_entropy(logits, labels)
        return SequenceClassifierOutput(loss=loss, logits=logits)
