//! The build-id: the linker's fingerprint of a file (note `NT_GNU_BUILD_ID`), which its separate
//! debug file shares. It is the only name of a file that survives copies, upgrades and other machines.

use core::fmt;

/// A build-id; 20 bytes as most linkers make it, any length from 1 as others do.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BuildId(Box<[u8]>);

impl BuildId {
    /// The build-id of these bytes; `None` for no bytes.
    pub fn new(bytes: &[u8]) -> Option<Self> {
        (!bytes.is_empty()).then(|| Self(bytes.into()))
    }

    /// The build-id that is written as hexadecimal digits; `None` for anything else.
    pub fn from_hex(text: &str) -> Option<Self> {
        let digits: Option<Vec<u8>> = text
            .chars()
            .map(|c| c.to_digit(16).and_then(|digit| u8::try_from(digit).ok()))
            .collect();
        let digits = digits.filter(|digits| digits.len() % 2 == 0)?;
        let bytes: Vec<u8> = digits
            .chunks_exact(2)
            .map(|pair| pair[0] << 4 | pair[1])
            .collect();
        Self::new(&bytes)
    }

    /// Its bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The path of its debug file below a debug directory, `.build-id/xx/yyyy.debug`; `None` where
    /// it is too short to have one.
    pub fn debug_path(&self) -> Option<String> {
        let hex = self.to_string();
        let (first, rest) = hex.split_at_checked(2)?;
        (!rest.is_empty()).then(|| format!(".build-id/{first}/{rest}.debug"))
    }
}

impl fmt::Display for BuildId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for BuildId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BuildId({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hex_and_path() {
        let id = BuildId::from_hex("0aFF10").unwrap();
        assert_eq!(id.as_bytes(), [0x0a, 0xff, 0x10]);
        assert_eq!(id.to_string(), "0aff10");
        assert_eq!(id.debug_path().unwrap(), ".build-id/0a/ff10.debug");
        assert_eq!(BuildId::new(&[7]).unwrap().debug_path(), None);
        for bad in ["", "0", "0g", "é1", "+1"] {
            assert_eq!(BuildId::from_hex(bad), None, "{bad:?}");
        }
    }
}
