"""What turns a text into a vector.

`EmbeddingProvider` is where a provider of AI models would be plugged in (setting EMBEDDING_PROVIDER). The one that is here
needs no network and gives the same vector for the same text on every machine: feature hashing over words and pairs of words.
"""

import hashlib
import math
import re
from typing import Protocol

from django.conf import settings
from django.utils.module_loading import import_string

# Part of the schema: another number needs a migration.
DIMENSIONS = 128


class EmbeddingProvider(Protocol):
    def embed(self, text: str) -> list[float]:
        """A vector of DIMENSIONS numbers with the length 1 (0 for a text without words)."""


class LocalHashing:
    def embed(self, text: str) -> list[float]:
        words = re.findall(r"\w+", text.lower())
        vector = [0.0] * DIMENSIONS
        for word in words:
            add(vector, word, 1.0)
        # Pairs weigh less: they tell apart texts of the same words in another order.
        for pair in zip(words, words[1:]):
            add(vector, " ".join(pair), 0.5)
        length = math.sqrt(sum(x * x for x in vector))
        return [x / length for x in vector] if length else vector


def add(vector, feature, weight):
    digest = hashlib.blake2b(feature.encode(), digest_size=8).digest()
    sign = 1.0 if digest[0] & 1 else -1.0
    vector[int.from_bytes(digest[1:], "big") % DIMENSIONS] += sign * weight


def provider() -> EmbeddingProvider:
    return import_string(settings.EMBEDDING_PROVIDER)()
