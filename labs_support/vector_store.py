"""A store of the handbook's sections with their vectors and metadata, kept by Chroma.

    store = open_store(folder)             # makes or mends what is there
    store.search("How much is the ferry?", where={"owner": "Livia Ansaldo"})

The id of a section is a hash of all that is stored about it. So nothing is stored twice,
a changed section is a new one, and what is stored can be checked. Built in lesson 08.
"""

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from labs_support import skills
from labs_support.chunks import Passage, passages
from labs_support.world import handbook

COLLECTION = "handbook"
BATCH = 16  # passages that are embedded and stored at a time


class DamagedStore(RuntimeError):
    """What is stored cannot be read, or is not what was stored."""


class Hit(NamedTuple):
    """A section that was found.

    Attributes:
        passage: the section.
        score: cosine with the question, from -1 to 1.
        metadata: page, title, owner, tags and updated, by name.
    """

    passage: Passage
    score: float
    metadata: dict


class Change(NamedTuple):
    """What an update did: how many sections were added, removed and left as they were."""

    added: int
    removed: int
    kept: int


def entries(pages: list[handbook.Page]) -> dict[str, tuple[str, dict]]:
    """Return {id: (document, metadata)} of all sections of the given pages."""
    found = {}
    for page in pages:
        for passage in passages([page]):
            metadata = {
                "page": page.slug,
                "title": passage.title,
                "owner": page.owner,
                "tags": list(page.tags),
                "updated": page.updated.isoformat(),
            }
            document = f"{passage.title}\n{passage.text}"
            found[content_id(document, metadata)] = (document, metadata)
    return found


def content_id(document: str, metadata: dict) -> str:
    """Return the id of a section: a hash of its text and of all that is known of it."""
    whole = json.dumps([document, metadata], sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(whole.encode()).hexdigest()[:24]


class Store:
    """Sections in a folder, found by the meaning of a question.

    Args:
        folder: where Chroma keeps its files; made if it is not there.
        embed: turns texts into unit vectors, (N, C).

    Raises:
        DamagedStore: if what the folder holds cannot be opened.
    """

    def __init__(self, folder: Path, embed: Callable = skills.embed):
        import chromadb

        self.folder, self.embed = Path(folder), embed
        quiet = chromadb.Settings(anonymized_telemetry=False)
        try:
            self.client = chromadb.PersistentClient(str(folder), settings=quiet)
            self.collection = self.client.get_or_create_collection(
                COLLECTION,
                embedding_function=None,  # Chroma's own would download a model
                configuration={"hnsw": {"space": "cosine"}},
            )
        except Exception as error:  # Chroma has no common class for these
            raise _damaged(self.folder, error) from error

    def update(self, pages: list[handbook.Page]) -> Change:
        """Make the store hold exactly the sections of the given pages.

        New sections are added, batch by batch, before old ones are removed. Whenever it
        is stopped, the next update does what is left.
        """
        wanted = entries(pages)
        there = set(self.collection.get(include=[])["ids"])
        new = [id for id in wanted if id not in there]
        for start in range(0, len(new), BATCH):
            ids = new[start : start + BATCH]
            documents = [wanted[id][0] for id in ids]
            self.collection.upsert(
                ids=ids,
                documents=documents,
                metadatas=[wanted[id][1] for id in ids],
                embeddings=self.embed(documents),
            )
        if old := sorted(there - wanted.keys()):
            self.collection.delete(ids=old)
        return Change(len(new), len(old), len(there) - len(old))

    def check(self) -> None:
        """Read everything that is stored.

        Raises:
            DamagedStore: if it cannot be read, or if a text, its metadata or its vector
                is not what was stored.
        """
        try:
            stored = self.collection.get(
                include=["documents", "metadatas", "embeddings"]
            )
        except Exception as error:
            raise _damaged(self.folder, error) from error
        rows = zip(stored["ids"], stored["documents"], stored["metadatas"], strict=True)
        wrong = sum(id != content_id(text, known) for id, text, known in rows)
        if len(stored["ids"]):
            lengths = np.linalg.norm(stored["embeddings"], axis=1)
            wrong += int((~np.isclose(lengths, 1, atol=1e-3)).sum())
        if wrong:
            raise _damaged(self.folder, f"{wrong} sections are not what was stored")

    def search(self, question: str, n: int = 3, where: dict | None = None) -> list[Hit]:
        """Return the n sections nearest to a question, best first.

        Args:
            question: what is looked for.
            n: how many sections.
            where: what their metadata must be, such as {"page": "returns"} or
                {"tags": {"$contains": "refunds"}}; applied before the search.

        Raises:
            ValueError: if the question is empty.
        """
        if not question.strip():
            raise ValueError("The question is empty: write a few words.")
        found = self.collection.query(
            query_embeddings=self.embed([question]), n_results=n, where=where
        )
        rows = (found[key][0] for key in ("documents", "distances", "metadatas"))
        hits = []
        for document, distance, metadata in zip(*rows, strict=True):
            text = document.removeprefix(f"{metadata['title']}\n")
            passage = Passage(metadata["page"], metadata["title"], text)
            hits.append(Hit(passage, 1 - distance, metadata))
        return hits

    def close(self) -> None:
        """Let go of the files."""
        self.client.close()


def _damaged(folder: Path, why: object) -> DamagedStore:
    reason = " ".join(str(why).split()) or type(why).__name__
    return DamagedStore(
        f"The index in {folder} is damaged ({reason}): it is built anew from the pages."
    )


def _clear(folder: Path) -> None:
    """Remove Chroma's files from a folder, and nothing else."""
    for file in folder.glob("chroma.sqlite3*"):
        file.unlink()
    for header in folder.glob("*/header.bin"):
        shutil.rmtree(header.parent)


def open_store(
    folder: Path,
    pages: list[handbook.Page] | None = None,
    *,
    embed: Callable = skills.embed,
    say: Callable = print,
) -> Store:
    """Return a store that holds the given pages, made, completed or built anew.

    Args:
        folder: where it is kept.
        pages: what it must hold, the whole handbook if not given.
        embed: turns texts into unit vectors.
        say: called with one sentence if what was there is damaged.
    """
    pages = handbook.pages() if pages is None else pages
    try:
        store = Store(folder, embed)
        store.check()
        store.update(pages)
        return store
    except DamagedStore as damage:
        say(str(damage))
    from chromadb.api.shared_system_client import SharedSystemClient

    SharedSystemClient.clear_system_cache()  # it remembers the client that failed
    _clear(Path(folder))
    store = Store(folder, embed)
    store.update(pages)
    return store
