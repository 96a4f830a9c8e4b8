//! The path of the file that is mapped at an address, out of `/proc/self/maps` (proc(5)).
//!
//! The loader keeps the name under which a library was asked for, which may be relative to a folder that
//! the program has left since; the kernel knows the file. The text is fed in pieces of any length, so a
//! few hundred bytes of memory do for maps of any size. Nothing is unescaped: of a path with a line
//! break there is the kernel's spelling.

/// Looks for the line whose range holds an address.
#[derive(Debug)]
pub struct MappedPath<'a> {
    address: u64,
    path: &'a mut [u8],
    length: usize,
    /// Of the line being read: its range, and which part of it comes next.
    start: u64,
    end: u64,
    part: Part,
    is_found: bool,
}

/// `START-END PERMISSIONS OFFSET DEVICE INODE      PATH`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Start,
    End,
    /// So many of the four fields between range and path have begun.
    Field(u8),
    Padding,
    Path,
}

impl<'a> MappedPath<'a> {
    /// A search that puts what it finds into `path`.
    pub fn new(address: u64, path: &'a mut [u8]) -> Self {
        Self {
            address,
            path,
            length: 0,
            start: 0,
            end: 0,
            part: Part::Start,
            is_found: false,
        }
    }

    /// Takes the next piece; says whether more is wanted.
    pub fn feed(&mut self, piece: &[u8]) -> bool {
        for byte in piece {
            if self.is_found {
                break;
            }
            self.take(*byte);
        }
        !self.is_found
    }

    /// The path, if it is one and fits; `None` for unnamed memory and names such as `[vdso]`.
    pub fn finish(self) -> Option<&'a [u8]> {
        let path: &'a [u8] = self.path;
        let path = path.get(..self.length).filter(|_| self.is_found)?;
        (path.first() == Some(&b'/')).then_some(path)
    }

    fn take(&mut self, byte: u8) {
        if byte == b'\n' {
            self.is_found = (self.start..self.end).contains(&self.address);
            if !self.is_found {
                (self.start, self.end, self.length) = (0, 0, 0);
                self.part = Part::Start;
            }
            return;
        }
        self.part = match (self.part, byte) {
            (Part::Start, b'-') => Part::End,
            (Part::Start, digit) => {
                self.start = appended(self.start, digit);
                Part::Start
            }
            (Part::End, b' ') => Part::Field(1),
            (Part::End, digit) => {
                self.end = appended(self.end, digit);
                Part::End
            }
            (Part::Field(4) | Part::Padding, b' ') => Part::Padding,
            (Part::Field(number), b' ') => Part::Field(number + 1),
            (part @ Part::Field(_), _) => part,
            (Part::Padding | Part::Path, byte) => {
                self.push(byte);
                Part::Path
            }
        };
    }

    /// A path that does not fit is longer than the buffer afterwards, and not given out.
    fn push(&mut self, byte: u8) {
        if let Some(place) = self.path.get_mut(self.length) {
            *place = byte;
        }
        self.length = self.length.saturating_add(1);
    }
}

/// The number with one more hexadecimal digit.
fn appended(number: u64, digit: u8) -> u64 {
    let value = match digit {
        b'0'..=b'9' => digit - b'0',
        b'a'..=b'f' => digit - b'a' + 10,
        _ => return number,
    };
    number << 4 | u64::from(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAPS: &[u8] = b"\
5581c0000000-5581c0001000 r--p 00000000 fe:00 131 /home/a b/shop
7f10aa000000-7f10aa021000 rw-p 00000000 00:00 0 
7f10ab000000-7f10ab001000 r--p 00000000 fe:00 77                         /srv/x/libx.so (deleted)
7ffd11200000-7ffd11202000 r-xp 00000000 00:00 0                          [vdso]
";

    fn found(address: u64, room: usize, piece: usize) -> Option<std::vec::Vec<u8>> {
        let mut path = std::vec![0; room];
        let mut search = MappedPath::new(address, &mut path);
        let _ = MAPS.chunks(piece).all(|piece| search.feed(piece));
        search.finish().map(<[u8]>::to_vec)
    }

    #[test]
    fn the_file_at_an_address_is_found_whatever_the_pieces() {
        for piece in 1..200 {
            let at = |address| found(address, 100, piece);
            assert_eq!(at(0x5581_c000_0000).unwrap(), b"/home/a b/shop");
            assert_eq!(at(0x5581_c000_0fff).unwrap(), b"/home/a b/shop");
            assert_eq!(at(0x5581_c000_1000), None, "behind its end");
            assert_eq!(at(0x7f10_aa00_0000), None, "unnamed");
            assert_eq!(at(0x7f10_ab00_0000).unwrap(), b"/srv/x/libx.so (deleted)");
            assert_eq!(at(0x7ffd_1120_0000), None, "no file");
            assert_eq!(at(0), None);
        }
    }

    #[test]
    fn a_path_that_does_not_fit_is_not_cut() {
        assert_eq!(found(0x5581_c000_0000, 13, 64), None);
        assert!(found(0x5581_c000_0000, 14, 64).is_some());
    }

    #[test]
    fn this_very_program_is_found() {
        let maps = std::fs::read("/proc/self/maps").unwrap();
        let mut path = [0; 4096];
        let here = this_very_program_is_found as fn() as usize as u64;
        let mut search = MappedPath::new(here, &mut path);
        assert!(!search.feed(&maps));
        let exe = std::env::current_exe().unwrap();
        assert_eq!(search.finish(), Some(exe.as_os_str().as_encoded_bytes()));
    }
}
