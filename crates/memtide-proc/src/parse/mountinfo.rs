//! `mountinfo`: one line per mount (proc(5), `/proc/pid/mountinfo`); memtide looks for cgroups in it.
//!
//! ```text
//! 35 31 0:32 /root /mount/point rw,relatime shared:1 - cgroup cgroup rw,memory
//!            root  mount point  options     tags     - type   source super options
//! ```
//! Paths have blank, tab, newline and backslash written as a backslash and three octal digits.

use super::maps::Device;
use super::scan;
use crate::error::Error;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt as _;
use std::path::PathBuf;

/// A mount.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mount<'a> {
    /// The device of the filesystem: the same for all its mounts.
    pub device: Device,
    /// The directory of its filesystem that is mounted, escaped as printed.
    pub root: &'a [u8],
    /// Where it is mounted, escaped as printed.
    pub mount_point: &'a [u8],
    /// The filesystem's type, `cgroup2`.
    pub kind: &'a [u8],
    /// Options of the filesystem, separated by commas; of cgroup v1 they name the controllers.
    pub super_options: &'a [u8],
}

impl Mount<'_> {
    /// True where `option` is one of the filesystem's options.
    pub fn has_super_option(&self, option: &[u8]) -> bool {
        self.super_options
            .split(|&byte| byte == b',')
            .any(|one| one == option)
    }
}

/// Calls `each` with every mount. Lines without the parts above are passed over.
///
/// # Errors
/// A file that is cut off.
pub fn parse<'a>(bytes: &'a [u8], mut each: impl FnMut(Mount<'a>)) -> Result<(), Error> {
    for (_, line) in scan::whole_lines("mountinfo", bytes)? {
        if let Some(mount) = mount(line) {
            each(mount);
        }
    }
    Ok(())
}

/// Where each filesystem of these types is mounted, whole mounts before those of a folder of it. Of a file that is cut off
/// the mounts before the cut.
pub fn points(bytes: &[u8], kinds: &[&[u8]]) -> BTreeMap<Device, Vec<PathBuf>> {
    let mut points: BTreeMap<Device, Vec<PathBuf>> = BTreeMap::new();
    // What is cut off tells nothing: the mounts before it were handed out already.
    let _ = parse(bytes, |mount| {
        if kinds.contains(&mount.kind) {
            let places = points.entry(mount.device).or_default();
            let at = if mount.root == b"/" { 0 } else { places.len() };
            places.insert(at, point(&mount));
        }
    });
    points
}

/// Where a filesystem of this type was mounted last. Of a file that is cut off the mounts before the cut.
pub fn last_point(bytes: &[u8], kind: &[u8]) -> Option<PathBuf> {
    let mut found = None;
    // What is cut off tells nothing: the mounts before it were handed out already.
    let _ = parse(bytes, |mount| {
        if mount.kind == kind {
            found = Some(point(&mount));
        }
    });
    found
}

fn point(mount: &Mount<'_>) -> PathBuf {
    PathBuf::from(OsString::from_vec(unescape(mount.mount_point).collect()))
}

fn mount(line: &[u8]) -> Option<Mount<'_>> {
    let mut words = scan::words(line);
    let device = device(words.nth(2)?)?;
    let root = words.next()?;
    let mount_point = words.next()?;
    words.find(|word| word == b"-")?;
    let kind = words.next()?;
    // The source comes between; it is empty for some mounts, and then the options follow at once.
    let super_options = words.last()?;
    Some(Mount {
        device,
        root,
        mount_point,
        kind,
        super_options,
    })
}

/// The option `hidepid` of the first /proc among the mounts, as it is printed: `1`, `invisible`, ….
/// `None` where processes of other users are not hidden, or the file does not tell.
pub fn hidepid(bytes: &[u8]) -> Option<&[u8]> {
    let mut first = None;
    // What is cut off tells nothing: the mounts before it were handed out already.
    let _ = parse(bytes, |mount| {
        if mount.kind == b"proc" && first.is_none() {
            first = Some(mount.super_options);
        }
    });
    first?
        .split(|&byte| byte == b',')
        .filter_map(|option| option.strip_prefix(b"hidepid="))
        .next_back()
}

/// `major:minor` in decimal digits.
fn device(word: &[u8]) -> Option<Device> {
    let (major, minor) = scan::key_value(word)?;
    Some(Device {
        major: scan::number_u32(major)?,
        minor: scan::number_u32(minor)?,
    })
}

/// The path that `escaped` stands for, byte by byte: `\040` is a blank.
pub fn unescape(escaped: &[u8]) -> impl Iterator<Item = u8> {
    let mut rest = escaped;
    core::iter::from_fn(move || {
        let (&first, after) = rest.split_first()?;
        if first == b'\\'
            && let Some((&[a, b, c], after)) = after.split_first_chunk()
            && let Some(byte) = octal(a, b, c)
        {
            rest = after;
            return Some(byte);
        }
        rest = after;
        Some(first)
    })
}

fn octal(a: u8, b: u8, c: u8) -> Option<u8> {
    let digit = |byte: u8| matches!(byte, b'0'..=b'7').then(|| u16::from(byte - b'0'));
    u8::try_from(digit(a)? << 6 | digit(b)? << 3 | digit(c)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mounts_of_both_cgroup_versions_are_found() {
        let text = b"22 27 0:21 / /proc rw,relatime - proc proc rw\n\
            35 31 0:32 /docker/ab /sys/fs/cgroup/memory ro,nosuid master:9 - cgroup cgroup rw,memory\n\
            41 31 0:38 / /sys/fs/cgroup/my\\040unified rw shared:4 master:1 - cgroup2 cgroup2 rw,nsdelegate\n\
            broken\n";
        let mut mounts = Vec::new();
        parse(text, |mount| mounts.push(mount)).unwrap();
        assert_eq!(mounts.len(), 3);
        assert_eq!((mounts[1].device.major, mounts[1].device.minor), (0, 32));
        assert_eq!(mounts[1].root, b"/docker/ab");
        assert_eq!(mounts[1].kind, b"cgroup");
        assert!(mounts[1].has_super_option(b"memory"));
        assert!(!mounts[1].has_super_option(b"mem"));
        assert_eq!(mounts[2].kind, b"cgroup2");
        let path: Vec<u8> = unescape(mounts[2].mount_point).collect();
        assert_eq!(path, b"/sys/fs/cgroup/my unified");
        assert!(parse(b"35 31 0:32 / /x rw - cgroup cgroup rw,mem", |_| ()).is_err());
    }

    #[test]
    fn what_is_no_escape_stays() {
        let unescaped = |text: &[u8]| unescape(text).collect::<Vec<u8>>();
        assert_eq!(unescaped(br"a\134b\011c"), b"a\\b\tc");
        assert_eq!(unescaped(br"\04"), br"\04");
        assert_eq!(unescaped(br"\999\777"), br"\999\777");
    }

    #[test]
    fn hidepid_is_read_from_the_proc_mount_only() {
        let plain = b"22 1 0:20 / /proc rw,nosuid - proc proc rw\n\
            23 1 0:21 / /x rw - tmpfs x rw,hidepid=2\n";
        assert_eq!(hidepid(plain), None);
        let hidden = b"22 1 0:20 / /proc rw,nosuid - proc proc rw,gid=5,hidepid=invisible\n";
        assert_eq!(hidepid(hidden), Some(&b"invisible"[..]));
    }

    #[test]
    fn whole_mounts_come_first_and_each_filesystem_once() {
        let mounts = b"30 20 0:25 /a /mnt/part rw - tmpfs x rw\n\
            31 20 0:25 / /dev/my\\040shm rw - tmpfs x rw\n\
            32 20 0:26 / /run rw - tmpfs x rw\n\
            33 20 0:27 / /sys rw - sysfs x rw\n";
        let points = points(mounts, &[b"tmpfs"]);
        let device = |minor| Device { major: 0, minor };
        assert_eq!(points.len(), 2);
        assert_eq!(
            points[&device(25)],
            [PathBuf::from("/dev/my shm"), "/mnt/part".into()]
        );
        assert_eq!(points[&device(26)], [PathBuf::from("/run")]);
    }
}
