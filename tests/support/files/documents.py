"""Documents generated for tests."""

import io
from collections.abc import Sequence

import pypdfium2
from PIL import Image

from tests.support.files.pictures import DATA

FOUR_PAGES = (DATA / "four-pages.pdf").read_bytes()
"""Four A4 pages, each with a letter's worth of text; source and licence are beside the file."""


def tiff(pages: Sequence[Image.Image], **options: object) -> bytes:
    """Return a TIFF with these pages."""
    file = io.BytesIO()
    pages[0].save(file, "TIFF", save_all=True, append_images=pages[1:], **options)
    return file.getvalue()


def pdf(*objects: bytes) -> bytes:
    """Return a PDF with these objects, numbered from 1; the first is its catalogue."""
    file = io.BytesIO(b"%PDF-1.7\n")
    file.seek(0, io.SEEK_END)
    places = []
    for number, text in enumerate(objects, 1):
        places.append(file.tell())
        file.write(b"%d 0 obj\n%b\nendobj\n" % (number, text))
    table = file.tell()
    file.write(b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1))
    file.write(b"".join(b"%010d 00000 n \n" % place for place in places))
    size = len(objects) + 1
    file.write(b"trailer <</Root 1 0 R/Size %d>>\nstartxref\n%d\n%%%%EOF\n" % (size, table))
    return file.getvalue()


def stream(data: bytes) -> bytes:
    """Return a PDF stream."""
    return b"<</Length %d>>stream\n%b\nendstream" % (len(data), data)


def pdf_of(*pages: bytes, more: Sequence[bytes] = ()) -> bytes:
    """Return a PDF of pages given by the entries of their dictionaries.

    ``more`` objects follow, numbered on from the last page's.
    """
    kids = b" ".join(b"%d 0 R" % (number + 3) for number in range(len(pages)))
    return pdf(
        b"<</Type/Catalog/Pages 2 0 R>>",
        b"<</Type/Pages/Kids[%b]/Count %d>>" % (kids, len(pages)),
        *(b"<</Type/Page/Parent 2 0 R%b>>" % page for page in pages),
        *more,
    )


def unembedded_pdf(text: str, font: str = "Tahoma", latin: str = "") -> bytes:
    """Return a PDF of one page that shows ``text`` in a font which it does not embed.

    ``latin`` stands below it in Helvetica.
    """
    characters = "".join(dict.fromkeys(text))
    codes = b"".join(b"%04X" % (characters.index(c) + 1) for c in text)
    unicodes = b"".join(
        b"<%04X> <%b>\n" % (n, c.encode("utf-16-be").hex().encode())
        for n, c in enumerate(characters, 1)
    )
    name = font.encode()
    return pdf_of(
        b"/MediaBox[0 0 595 842]/Contents 4 0 R/Resources<</Font<</F1 5 0 R/F2 9 0 R>>>>",
        more=[
            stream(
                b"BT /F1 24 Tf 50 700 Td <%b> Tj ET BT /F2 24 Tf 50 600 Td (%b) Tj ET"
                % (codes, latin.encode())
            ),
            b"<</Type/Font/Subtype/Type0/BaseFont/%b/Encoding/Identity-H/DescendantFonts[6 0 R]"
            b"/ToUnicode 8 0 R>>" % name,
            b"<</Type/Font/Subtype/CIDFontType2/BaseFont/%b/DW 1000/FontDescriptor 7 0 R"
            b"/CIDSystemInfo<</Registry(Adobe)/Ordering(Identity)/Supplement 0>>>>" % name,
            b"<</Type/FontDescriptor/FontName/%b/Flags 4/FontBBox[0 -200 1000 900]/ItalicAngle 0"
            b"/Ascent 900/Descent -200/CapHeight 700/StemV 80>>" % name,
            stream(
                b"/CIDInit /ProcSet findresource begin 12 dict begin begincmap /CMapType 2 def "
                b"1 begincodespacerange <0000> <FFFF> endcodespacerange %d beginbfchar\n%b"
                b"endbfchar endcmap end end" % (len(characters), unicodes)
            ),
            b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>",
        ],
    )


def blank_pdf(*sizes: tuple[float, float]) -> bytes:
    """Return a PDF with empty pages of these sizes in points."""
    document = pypdfium2.PdfDocument.new()
    for size in sizes:
        document.new_page(*size)
    file = io.BytesIO()
    document.save(file)
    document.close()
    return file.getvalue()


LOCKED = (
    b"%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj\n"
    b"2 0 obj<</Type/Pages/Kids[]/Count 0>>endobj\n"
    b"3 0 obj<</Filter/Standard/V 1/R 2/O(" + b"x" * 32 + b")/U(" + b"y" * 32 + b")/P -4>>endobj\n"
    b"trailer<</Root 1 0 R/Encrypt 3 0 R/ID[(0123456789abcdef)(0123456789abcdef)]>>\n%%EOF\n"
)
"""A PDF encrypted under an unknown password."""
