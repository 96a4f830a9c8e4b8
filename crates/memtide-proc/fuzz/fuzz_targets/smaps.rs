//! `maps`, `smaps`, `smaps_rollup`: in one piece or in many, with a layout learnt or not, smaps says
//! the same. The first byte says how long the pieces are.
#![no_main]

use libfuzzer_sys::fuzz_target;
use memtide_proc::parse::smaps::{Sizes, SmapsParser};
use memtide_proc::parse::{maps, smaps};

type Found = (Vec<(u64, u64, Vec<u8>, Sizes)>, bool);

fn whole(parser: &mut SmapsParser, bytes: &[u8]) -> Found {
    let mut found = Vec::new();
    parser.restart();
    let fed = parser.feed(bytes, true, |entry| {
        found.push((
            entry.map.start,
            entry.map.end,
            entry.map.name.to_vec(),
            entry.sizes,
        ));
    });
    (found, fed.is_ok())
}

fn in_pieces(bytes: &[u8], length: usize) -> Found {
    let (mut found, mut held) = (Vec::new(), Vec::new());
    let mut parser = SmapsParser::new();
    for piece in bytes.chunks(length).chain([&[][..]]) {
        held.extend(piece);
        let fed = parser.feed(&held, piece.is_empty(), |entry| {
            found.push((
                entry.map.start,
                entry.map.end,
                entry.map.name.to_vec(),
                entry.sizes,
            ));
        });
        match fed {
            Ok(done) => drop(held.drain(..done)),
            Err(_) => return (found, false),
        }
    }
    (found, true)
}

fuzz_target!(|bytes: &[u8]| {
    let _ = maps::parse(bytes, |map| _ = (map.size(), map.is_shared()));
    let _ = smaps::parse_rollup(bytes);
    let Some((&length, bytes)) = bytes.split_first() else {
        return;
    };
    let mut parser = SmapsParser::new();
    let first = whole(&mut parser, bytes);
    assert_eq!(
        in_pieces(bytes, usize::from(length) + 1),
        first,
        "in pieces"
    );
    if first.1 {
        assert_eq!(whole(&mut parser, bytes), first, "with a layout learnt");
    }
});
