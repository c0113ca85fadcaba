"""Sidecars say what the model says, and keep what others wrote."""

from __future__ import annotations

import pytest
from lxml import etree

from scene_batch.records import ClassProbability, ImageRef, Prediction
from scene_batch_report.sorting.xmp import NoXmpError, with_answer

_SPACES = {
    "rdf": "http://www.w3.org/1999/02/22-rdf-syntax-ns#",
    "dc": "http://purl.org/dc/elements/1.1/",
    "ours": "urn:scene-batch:xmp:1#",
}
_THEIRS = b"""<?xpacket begin='' id='W5M0MpCehiHzreSzNTczkc9d'?>
<x:xmpmeta xmlns:x='adobe:ns:meta/'><rdf:RDF xmlns:rdf='http://www.w3.org/1999/02/22-rdf-syntax-ns#'>
 <rdf:Description rdf:about='' xmlns:xmp='http://ns.adobe.com/xap/1.0/' xmp:Rating='4'
  xmlns:dc='http://purl.org/dc/elements/1.1/'>
  <dc:subject><rdf:Bag><rdf:li>holiday</rdf:li><rdf:li>sea</rdf:li></rdf:Bag></dc:subject>
  <!-- mine -->
 </rdf:Description></rdf:RDF></x:xmpmeta>
<?xpacket end='w'?>"""


def _answer(name: str, probability: float = 0.875) -> Prediction:
    return Prediction(ImageRef("a.jpg"), (ClassProbability(name, probability),))


def _keywords(text: bytes) -> list[str]:
    found = etree.fromstring(text).xpath("//dc:subject/rdf:Bag/rdf:li/text()", namespaces=_SPACES)
    assert isinstance(found, list)
    return [str(each) for each in found]


def test_a_new_sidecar_has_class_and_probability() -> None:
    text = with_answer(None, _answer("a <b> & 'c'"), is_sure=True)
    assert _keywords(text) == ["a <b> & 'c'"]
    assert b'probability="0.875"' in text
    assert text.startswith(b"<?xpacket begin=")
    assert _keywords(with_answer(None, _answer("sea"), is_sure=False)) == []


def test_what_others_wrote_stays() -> None:
    text = with_answer(_THEIRS, _answer("forest"), is_sure=True)
    assert _keywords(text) == ["holiday", "sea", "forest"]
    for kept in (b"xmp:Rating", b"<!-- mine -->", b"<?xpacket end='w'?>"):
        assert kept in text
    assert _keywords(with_answer(text, _answer("glacier"), is_sure=True)) == [
        *("holiday", "sea", "glacier"),
    ]
    again = with_answer(text, _answer("sea"), is_sure=True)  # a keyword of theirs
    assert _keywords(again) == ["holiday", "sea"]
    assert _keywords(with_answer(again, _answer("forest"), is_sure=True)) == [
        *("holiday", "sea", "forest"),
    ]


_BOMB = b"""<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]>
<rdf:RDF xmlns:rdf='http://www.w3.org/1999/02/22-rdf-syntax-ns#'>
<rdf:Description>&b;</rdf:Description></rdf:RDF>"""


@pytest.mark.parametrize("text", [b"", b"no XML", b"<a/>", b"<a>", _BOMB, b"\xff\xfe"])
def test_what_is_no_xmp_is_told(text: bytes) -> None:
    with pytest.raises(NoXmpError):
        with_answer(text, _answer("sea"), is_sure=True)
