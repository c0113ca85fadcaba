"""What the model says of a photo as XMP, for programs that manage photos.

The format is XMP's (ISO 16684-1): RDF in XML, beside ``a.jpg`` in ``a.jpg.xmp``.
"""

from __future__ import annotations

from lxml import etree

from scene_batch.records import Prediction

_X, _RDF = "adobe:ns:meta/", "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
_DC, _OURS = "http://purl.org/dc/elements/1.1/", "urn:scene-batch:xmp:1#"
_EMPTY = (
    '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>\n'
    f'<x:xmpmeta xmlns:x="{_X}"><rdf:RDF xmlns:rdf="{_RDF}"><rdf:Description rdf:about=""/>'
    '</rdf:RDF></x:xmpmeta>\n<?xpacket end="w"?>'
)


class NoXmpError(Exception):
    """A sidecar is there, but it is no XMP."""


def with_answer(before: bytes | None, row: Prediction, *, is_sure: bool) -> bytes:
    """A sidecar with what the model says, merged with what is there.

    ``dc:subject``, the keywords, gets the class, if it is sure; properties of our own have class
    and probability. All else stays; of keywords only one that was set here before goes.

    Raises:
        NoXmpError: What is there cannot be read.
    """
    # No entities, no network: a sidecar may come from anywhere.
    parser = etree.XMLParser(resolve_entities=False, no_network=True, remove_blank_text=False)
    try:
        tree = etree.fromstring(_EMPTY.encode() if before is None else before, parser).getroottree()
    except (etree.XMLSyntaxError, ValueError):
        raise NoXmpError from None
    about = tree.find(f".//{{{_RDF}}}Description")
    if about is None or tree.docinfo.internalDTD is not None:
        raise NoXmpError
    _drop_keyword(about, about.get(f"{{{_OURS}}}keyword"))
    etree.cleanup_namespaces(about, keep_ns_prefixes=[*about.nsmap])
    about.set(f"{{{_OURS}}}class", row.class_name)
    about.set(f"{{{_OURS}}}probability", f"{row.probability:.6g}")
    if is_sure and _add_keyword(about, row.class_name):
        about.set(f"{{{_OURS}}}keyword", row.class_name)
    return bytes(etree.tostring(tree, encoding="utf-8"))


def _keywords(about: etree._Element) -> etree._Element | None:
    """The list of keywords, in whichever description it stands and whatever kind of list it is."""
    for subject in about.getroottree().iter(f"{{{_DC}}}subject"):
        for kind in ("Bag", "Seq", "Alt"):
            found = subject.find(f"{{{_RDF}}}{kind}")
            if found is not None:
                return found
    return None


def _drop_keyword(about: etree._Element, keyword: str | None) -> None:
    """Drop the keyword that was set here before."""
    if keyword is None:
        return
    del about.attrib[f"{{{_OURS}}}keyword"]
    bag = _keywords(about)
    if bag is not None:
        for item in [each for each in bag if each.text == keyword]:
            bag.remove(item)


def _add_keyword(about: etree._Element, keyword: str) -> bool:
    """Add a keyword; whether it was not there."""
    bag = _keywords(about)
    if bag is None:
        subject = next(iter(about.getroottree().iter(f"{{{_DC}}}subject")), None)
        if subject is None:
            subject = etree.SubElement(about, f"{{{_DC}}}subject", nsmap={"dc": _DC})
        bag = etree.SubElement(subject, f"{{{_RDF}}}Bag")
    if any(item.text == keyword for item in bag):
        return False
    etree.SubElement(bag, f"{{{_RDF}}}li").text = keyword
    return True
