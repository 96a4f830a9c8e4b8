#!/usr/bin/env python3
"""Cuts Inter down to the glyphs that memtide's charts use. See README.md beside this file."""

import sys
from fontTools.subset import Options, Subsetter
from fontTools.ttLib import TTFont

# Basic Latin, Latin-1, and the few signs that the charts write. What is not kept here, src/chart/font.rs
# finds out from the font and escapes.
KEPT = [*range(0x20, 0x7F), *range(0xA0, 0x100)] + [
    0x2013, 0x2014, 0x2018, 0x2019, 0x201C, 0x201D, 0x2022, 0x2026, 0x2190, 0x2191, 0x2192,
    0x2193, 0x2212, 0x2248, 0x2260, 0x2264, 0x2265, 0x221E,
]


def tabular_digits(font):
    """Figures of one width: the font's own `tnum` glyphs, put where the digits are looked up,
    because the painter applies no OpenType features."""
    table = font["GSUB"].table
    record = next(r for r in table.FeatureList.FeatureRecord if r.FeatureTag == "tnum")
    swap = {}
    for index in record.Feature.LookupListIndex:
        for sub in table.LookupList.Lookup[index].SubTable:
            swap.update(getattr(sub, "ExtSubTable", sub).mapping)
    for cmap in font["cmap"].tables:
        for code in range(ord("0"), ord("9") + 1):
            if code in cmap.cmap:
                cmap.cmap[code] = swap.get(cmap.cmap[code], cmap.cmap[code])


def main(source, target):
    font = TTFont(source, recalcTimestamp=False)
    tabular_digits(font)
    options = Options()
    options.layout_features = []
    options.drop_tables += ["GSUB", "GPOS", "GDEF"]
    options.hinting = False
    options.desubroutinize = False
    options.name_IDs = [0, 1, 2, 4, 5, 6, 13, 14]
    subsetter = Subsetter(options)
    subsetter.populate(unicodes=KEPT)
    subsetter.subset(font)
    missing = [hex(code) for code in KEPT if code not in font.getBestCmap()]
    if missing:
        sys.exit(f"not in {source}: {missing}")
    font.save(target)


if __name__ == "__main__":
    main(*sys.argv[1:])
