"""The store of lesson 08: nothing twice, kill it, edit it, spoil its files."""

import hashlib
import json
import os
import signal
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from labs_support import chunks, vector_store
from labs_support.settings import ROOT
from labs_support.world import handbook


def embed(texts):
    """Return unit vectors that follow from the texts, without a model."""
    made = []
    for text in texts:
        seed = int(hashlib.sha256(text.encode()).hexdigest()[:12], 16)
        vector = np.random.default_rng(seed).normal(size=32)
        made.append(vector / np.linalg.norm(vector))
    return np.array(made, dtype=np.float32)


@pytest.fixture(scope="module")
def pages():
    return handbook.pages()


@pytest.fixture
def store(tmp_path, pages):
    made = vector_store.open_store(tmp_path / "index", pages, embed=embed)
    yield made
    made.close()


def plain(metadata):
    return json.dumps(metadata, sort_keys=True)


def content(store):
    """Return all that is stored, in the order of the ids."""
    got = store.collection.get(include=["documents", "metadatas"])
    return sorted(
        zip(got["ids"], got["documents"], map(plain, got["metadatas"]), strict=True)
    )


def test_it_holds_every_passage_once_with_its_metadata(store, pages):
    assert store.collection.count() == len(chunks.passages(pages))
    got = store.collection.get(include=["documents", "metadatas"])
    for document, known in zip(got["documents"], got["metadatas"], strict=True):
        page = handbook.page(known["page"])
        assert known["owner"] == page.owner
        assert known["updated"] == page.updated.isoformat()
        assert known["tags"] == list(page.tags)
        assert document.startswith(f"{known['title']}\n")


def test_indexing_twice_adds_nothing(store, pages):
    before = content(store)
    asked = []
    store.embed = lambda texts: asked.append(texts) or embed(texts)
    change = store.update(pages)
    assert (change.added, change.removed, change.kept) == (0, 0, len(before))
    assert content(store) == before
    assert not asked, "what is stored must not be embedded again"


def test_an_edited_page_replaces_its_old_passages(store, pages):
    page = next(page for page in pages if page.slug == "returns")
    edited = replace(page, text=page.text.replace("30 days", "45 days"))
    change = store.update([edited if p is page else p for p in pages])
    assert change.added == change.removed == 1
    texts = [text for _, text, known in content(store) if '"returns"' in known]
    assert any("45 days" in text for text in texts)
    assert not any("within 30 days" in text for text in texts)
    assert store.collection.count() == len(chunks.passages(pages))


def test_a_change_of_metadata_alone_is_a_change(store, pages):
    moved = [replace(p, owner="Bruno") if p.slug == "returns" else p for p in pages]
    assert store.update(moved).added > 0
    found = store.search("x", 50, where={"owner": "Bruno"})
    assert {hit.passage.slug for hit in found} == {"returns"}


def test_a_page_that_is_gone_is_gone_from_the_store(store, pages):
    store.update([page for page in pages if page.slug != "returns"])
    assert not store.search("refund", 3, where={"page": "returns"})


def test_search_gives_the_nearest_with_cosine_and_text(store, pages):
    found = chunks.passages(pages)
    vectors = embed([f"{p.title}\n{p.text}" for p in found])
    cosines = vectors @ embed(["How much is the ferry?"])[0]
    hits = store.search("How much is the ferry?", 5)
    best = np.argsort(-cosines)[:5]
    assert [hit.passage for hit in hits] == [found[i] for i in best]
    assert np.allclose([hit.score for hit in hits], cosines[best], atol=1e-4)


def test_a_filter_is_applied_before_the_search(store, pages):
    owner = "Livia Ansaldo"
    own = [p for page in pages if page.owner == owner for p in chunks.passages([page])]
    hits = store.search("anything at all", 10, where={"owner": owner})
    assert len(hits) == 10
    assert all(hit.metadata["owner"] == owner and hit.passage in own for hit in hits)
    hits = store.search("anything", 3, where={"tags": {"$contains": "refunds"}})
    assert {hit.passage.slug for hit in hits} == {"returns"}


@pytest.mark.parametrize("question", ["", "  \n"])
def test_an_empty_question_is_one_clear_sentence(store, question):
    with pytest.raises(ValueError, match="The question is empty: write a few words."):
        store.search(question)


SLOW = """
import sys, time
sys.path.insert(0, "tests")
from test_vector_store import embed
from labs_support import vector_store
from labs_support.world import handbook

def slowly(texts):
    print(len(texts), flush=True)
    time.sleep(0.05)
    return embed(texts)

vector_store.Store(sys.argv[1], slowly).update(handbook.pages())
print("done", flush=True)
"""


@pytest.mark.parametrize("n_batches", [1, 4, 9])
def test_killed_in_the_middle_it_ends_up_complete(tmp_path, pages, n_batches):
    folder = tmp_path / "index"
    with subprocess.Popen(
        [sys.executable, "-c", SLOW, str(folder)],
        cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        for _ in range(n_batches):
            assert process.stdout.readline().strip().isdigit()
        os.kill(process.pid, signal.SIGKILL)
        rest = process.stdout.read()
    assert process.returncode == -signal.SIGKILL and "done" not in rest
    said = []
    store = vector_store.open_store(folder, pages, embed=embed, say=said.append)
    wanted = vector_store.entries(pages)
    assert [id for id, *_ in content(store)] == sorted(wanted)
    assert not said, "a store that is only unfinished is not damaged"
    store.check()
    store.close()


def overwrite(file, start, n):
    with file.open("r+b") as stream:
        stream.seek(start)
        stream.write(b"\xa5" * n)


DAMAGE = {
    "header": lambda file: overwrite(file, 0, 100),
    "middle": lambda file: overwrite(file, file.stat().st_size // 3, 300_000),
    "cut off": lambda file: os.truncate(file, file.stat().st_size // 2),
}


@pytest.mark.parametrize("how", DAMAGE)
def test_a_damaged_file_is_said_in_one_sentence_and_rebuilt(tmp_path, pages, how):
    folder = tmp_path / "index"
    vector_store.open_store(folder, pages, embed=embed).close()
    (folder / "mine.txt").write_text("not Chroma's")
    DAMAGE[how](folder / "chroma.sqlite3")
    said = []
    store = vector_store.open_store(folder, pages, embed=embed, say=said.append)
    assert [id for id, *_ in content(store)] == sorted(vector_store.entries(pages))
    assert len(said) == 1 and "\n" not in said[0]
    assert said[0].startswith(f"The index in {folder} is damaged (")
    assert said[0].endswith("it is built anew from the pages.")
    assert (folder / "mine.txt").exists(), "only Chroma's own files may go"
    store.close()


@pytest.mark.parametrize("how", ["gone", "empty"])
def test_a_missing_or_empty_file_is_filled_again(tmp_path, pages, how):
    folder = tmp_path / "index"
    vector_store.open_store(folder, pages, embed=embed).close()
    file = folder / "chroma.sqlite3"
    file.unlink() if how == "gone" else os.truncate(file, 0)
    store = vector_store.open_store(folder, pages, embed=embed)
    assert store.collection.count() == len(vector_store.entries(pages))
    store.close()


@pytest.mark.parametrize("what", ["text", "owner", "vector"])
def test_what_is_not_what_was_stored_is_noticed(store, what):
    got = store.collection.get(limit=1, include=["documents", "metadatas"])
    change = {
        "text": {"documents": [got["documents"][0] + " Or not."]},
        "owner": {"metadatas": [got["metadatas"][0] | {"owner": "nobody"}]},
        "vector": {"embeddings": [[0.0] * 31 + [3.0]]},
    }[what]
    extra = {} if "embeddings" in change else {"embeddings": embed(["x"])}
    store.check()
    store.collection.update(ids=got["ids"], **change, **extra)
    with pytest.raises(vector_store.DamagedStore, match="1 sections are not what was"):
        store.check()
