//! From a variant to what a program needs in order to run on it: the library, and the environment.
//!
//! The idea: an arm is what its name says and nothing else. So what the caller's environment says to any
//! allocator is taken away in every arm, and only what the variant asks for is set. And nothing is believed
//! that can be tried: a program that does nothing is run on it first, and must end in silence.

use super::image::{Image, MALLOC};
use super::kind::Kind;
use super::variant::Variant;
use super::{Found, PRELOAD, TUNABLE, TUNABLES, search};
use crate::elf::{self, Head};
use crate::error::{Error, ErrorKind};
use crate::launch::Launch;
use crate::program::{Program, inspect_program, resolve};
use crate::shim::is_loadable;
use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io::{Read as _, Seek as _};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Starts of the variables by which allocators are set up: glibc's older ones and jemalloc's
/// `MALLOC_CONF`, gperftools', mimalloc's.
const OURS: [&str; 3] = ["MALLOC_", "TCMALLOC_", "MIMALLOC_"];
/// What a library must define, so that no memory of its own comes to another allocator.
const REQUIRED: [&str; 4] = [MALLOC, "calloc", "realloc", "free"];
/// What is run to try an allocator, and how long it may take.
const NOTHING: &str = "true";
const TRIAL: Duration = Duration::from_secs(10);
/// A complaint is cut after so many bytes.
const COMPLAINT: u64 = 2000;

impl Variant {
    /// Finds the library, and what the environment of `program` must say to run on it. It is tried on a
    /// program that does nothing: what the loader or the allocator complains of is an error here.
    ///
    /// # Errors
    /// [`ErrorKind::Allocator`] where the library is not there (with the Debian package that has it), does
    /// not load, does not know a setting, or cannot serve this program; [`ErrorKind::System`] where
    /// it cannot be tried.
    pub fn find(&self, program: &Program) -> Result<Found, Error> {
        let image = Image::open(&program.runs).map(|(image, _)| image);
        let image = image.unwrap_or_default();
        if let Some((function, owner)) = image.private
            && owner != self.kind
        {
            return Err(self.refuse(format!(
                "{} calls {function} of {}, whose memory no other allocator can take back; build it \
                 without",
                program.runs.display(),
                owner.name()
            )));
        }
        let library = self.library()?;
        self.check_settings(library.as_deref(), program)?;
        let preloaded = match &library {
            Some(library) => Some(library.clone().into_os_string()),
            None => before_others(&image),
        };
        let found = self.composed(library, preloaded.as_deref(), &Caller::from_process());
        self.try_it(&found, preloaded)?;
        Ok(found)
    }

    fn refuse(&self, why: impl std::fmt::Display) -> Error {
        Error::new(ErrorKind::Allocator, format!("{}: {why}", self.name()))
    }

    /// The file to preload; `None` for what programs run on anyway.
    fn library(&self) -> Result<Option<PathBuf>, Error> {
        let path = match &self.path {
            None if self.kind == Kind::Glibc => return Ok(None),
            None => {
                let found = self
                    .kind
                    .files()
                    .iter()
                    .find_map(|name| search::library(name));
                found.ok_or_else(|| self.missing())?
            }
            // The loader takes a path as it is; ours must mean the same in whatever folder.
            Some(path) => std::path::absolute(path)
                .and_then(|path| fs::metadata(&path).map(|_| path))
                .map_err(|error| self.refuse(error))?,
        };
        if !search::is_of_this_machine(&path) {
            return Err(self.refuse("it is no 64-bit library of this machine; name one that is"));
        }
        let (image, _) = Image::open(&path).map_err(|error| self.refuse(error))?;
        let lacks = REQUIRED
            .iter()
            .find(|function| !image.exports.contains(function));
        if let Some(function) = lacks {
            return Err(self.refuse(format!(
                "it does not define {function}, so it is no allocator that can be preloaded; name a \
                 library that does"
            )));
        }
        if !is_loadable(&path) {
            return Err(self.refuse(format!(
                "{} cannot be preloaded: its path holds a space, colon or dollar, or its file system \
                 is mounted noexec; copy it elsewhere",
                path.display()
            )));
        }
        Ok(Some(path))
    }

    fn missing(&self) -> Error {
        let kind = self.kind;
        self.refuse(format!(
            "{} is not on this machine; install it, on Debian or Ubuntu the package {}, or give the path of \
             the library",
            kind.files().first().unwrap_or(&kind.name()),
            kind.package()
        ))
    }

    /// Whether the file that will read the settings knows them: its bytes have their names.
    fn check_settings(&self, library: Option<&Path>, program: &Program) -> Result<(), Error> {
        let signs = self.settings.iter().filter_map(|(name, _)| {
            let sign = self.kind.sign_of_setting(name)?;
            Some((name, sign))
        });
        let loader = || match File::open(&program.runs).and_then(elf::head) {
            Ok(Head::Elf64(elf)) => elf.interpreter,
            _ => None,
        };
        let Some(reader) = library.map(Path::to_path_buf).or_else(loader) else {
            return Ok(());
        };
        let content = fs::read(&reader).map_err(|error| self.refuse(error))?;
        for (name, sign) in signs {
            if memchr::memmem::find(&content, sign.as_bytes()).is_none() {
                return Err(self.refuse(format!(
                    "{} does not know the setting {name}: it is of another version; leave it out",
                    reader.display()
                )));
            }
        }
        Ok(())
    }

    fn composed(
        &self,
        library: Option<PathBuf>,
        preloaded: Option<&OsStr>,
        caller: &Caller,
    ) -> Found {
        let mut environment = Vec::new();
        let preload = caller.preload(preloaded);
        if !preload.is_empty() {
            environment.push((PRELOAD.into(), preload));
        }
        let tunables = caller.tunables();
        let mut set = self.kind.variables(&self.settings);
        if !tunables.is_empty() {
            match set.iter_mut().find(|(name, _)| name == TUNABLES) {
                Some((_, value)) => value.push(OsStr::from_bytes(&[b":", &*tunables].concat())),
                None => set.push((TUNABLES.into(), OsString::from_vec(tunables))),
            }
        }
        environment.extend(set);
        let removed = caller.names();
        let is_set = |name: &OsString| environment.iter().any(|(set, _)| set == name);
        let removed = removed.into_iter().filter(|name| !is_set(name)).collect();
        Found {
            library,
            environment,
            removed,
            kind: self.kind,
        }
    }

    /// Runs what does nothing on it, without what the caller preloads besides.
    fn try_it(&self, found: &Found, preloaded: Option<OsString>) -> Result<(), Error> {
        if preloaded.is_none() && self.settings.is_empty() {
            return Ok(());
        }
        let program = inspect_program(&resolve(OsStr::new(NOTHING))?)?;
        if program.refusal.is_some() {
            // A static one says nothing of libraries. What runs later is verified then.
            return Ok(());
        }
        let failed = |error: std::io::Error| Error::system("trying an allocator", error);
        let flags = rustix::fs::MemfdFlags::CLOEXEC;
        let said = rustix::fs::memfd_create("memtide-trial", flags);
        let mut said = File::from(said.map_err(|errno| failed(errno.into()))?);
        let mut launch = Launch::new(NOTHING, [""; 0]);
        launch.allocator(found).own_group();
        launch.output_to(said.try_clone().map_err(failed)?);
        match preloaded {
            Some(preloaded) => launch.environment(PRELOAD, preloaded),
            None => launch.without(PRELOAD),
        };
        let ending = launch.spawn(&program)?.wait_for(TRIAL)?;
        let mut complaint = String::new();
        said.rewind().map_err(failed)?;
        let _ = said.take(COMPLAINT).read_to_string(&mut complaint);
        let complaint = memtide_model::text::printable(complaint.trim().as_bytes());
        match ending {
            None => Err(self.refuse("a program that does nothing did not end on it")),
            Some(_) if !complaint.is_empty() => Err(self.refuse(format!(
                "a program that does nothing complains on it: {complaint}; mend or leave out what it names"
            ))),
            Some(ending) if ending.exit_code() != 0 => Err(self.refuse(format!(
                "a program that does nothing fails on it, with exit code {}; take another build of the \
                 library",
                ending.exit_code()
            ))),
            Some(_) => Ok(()),
        }
    }
}

/// What must be preloaded so that a program runs on glibc's allocator although it names a library with
/// another one: the C library itself, which then comes first, and with C++ its `operator new`.
fn before_others(image: &Image) -> Option<OsString> {
    const LIBC: &str = "libc.so.6";
    const CXX: &str = "libstdc++.so.6";
    let is_other = |name: &&String| {
        let opened = search::library(name).map(|path| Image::open(&path));
        let has_malloc =
            opened.is_some_and(|image| image.is_ok_and(|(image, _)| image.is_allocator()));
        has_malloc && name.as_str() != LIBC
    };
    image.needed.iter().find(is_other)?;
    let has_cxx = image.needed.iter().any(|name| name == CXX);
    Some(
        if has_cxx {
            format!("{LIBC}:{CXX}")
        } else {
            LIBC.to_owned()
        }
        .into(),
    )
}

/// What the caller's environment says.
struct Caller {
    variables: Vec<(OsString, OsString)>,
}

impl Caller {
    fn from_process() -> Self {
        Self {
            variables: std::env::vars_os().collect(),
        }
    }

    fn value(&self, name: &str) -> &[u8] {
        let found = self.variables.iter().find(|(known, _)| known == name);
        found.map_or(&[], |(_, value)| value.as_bytes())
    }

    /// Ours, then what the caller preloads and is no allocator. ld.so(8) splits at spaces and colons.
    fn preload(&self, ours: Option<&OsStr>) -> OsString {
        let theirs = self
            .value(PRELOAD)
            .split(|byte| matches!(byte, b' ' | b':'));
        let kept = theirs.filter(|path| {
            let name = path.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
            !path.is_empty() && Kind::of_file(&String::from_utf8_lossy(name)).is_none()
        });
        let all: Vec<&[u8]> = ours.map(OsStr::as_bytes).into_iter().chain(kept).collect();
        OsString::from_vec(all.join(&b':'))
    }

    /// Tunables of glibc that have nothing to do with malloc.
    fn tunables(&self) -> Vec<u8> {
        let all = self.value(TUNABLES).split(|byte| *byte == b':');
        let kept = all.filter(|one| !one.is_empty() && !one.starts_with(TUNABLE.as_bytes()));
        kept.collect::<Vec<_>>().join(&b':')
    }

    /// Names that set up an allocator, or could.
    fn names(&self) -> BTreeSet<OsString> {
        let names = self.variables.iter().map(|(name, _)| name);
        let is_ours = |name: &&OsString| {
            let starts = |start: &&str| name.as_bytes().starts_with(start.as_bytes());
            *name == PRELOAD || *name == TUNABLES || OURS.iter().any(starts)
        };
        names.filter(is_ours).cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn composed(
        variant: &str,
        preloaded: Option<&str>,
        variables: &[(&str, &str)],
    ) -> (Vec<String>, Vec<String>) {
        let caller = Caller {
            variables: variables
                .iter()
                .map(|(name, value)| (name.into(), value.into()))
                .collect(),
        };
        let variant = Variant::parse(variant).unwrap();
        let found = variant.composed(None, preloaded.map(OsStr::new), &caller);
        let text = |text: &OsString| text.to_string_lossy().into_owned();
        let lines = found.environment.iter();
        (
            lines
                .map(|(name, value)| format!("{}={}", text(name), text(value)))
                .collect(),
            found.removed.iter().map(text).collect(),
        )
    }

    #[test]
    fn an_arm_is_what_its_name_says_and_nothing_else() {
        let caller = [
            (
                "LD_PRELOAD",
                "/x/libjemalloc.so.2 libfake.so:/y/libtcmalloc.so.4",
            ),
            (
                "GLIBC_TUNABLES",
                "glibc.malloc.arena_max=1:glibc.cpu.x86_shstk=off",
            ),
            ("MALLOC_ARENA_MAX", "7"),
            ("MALLOC_CONF", "retain:false"),
            ("MIMALLOC_VERBOSE", "1"),
            ("PATH", "/bin"),
        ];
        let (set, removed) = composed("glibc", None, &caller);
        assert_eq!(
            set,
            [
                "LD_PRELOAD=libfake.so",
                "GLIBC_TUNABLES=glibc.cpu.x86_shstk=off"
            ]
        );
        assert_eq!(
            removed,
            ["MALLOC_ARENA_MAX", "MALLOC_CONF", "MIMALLOC_VERBOSE"]
        );
        let (set, _) = composed("glibc:arena_max=2", None, &caller);
        let tunables = "GLIBC_TUNABLES=glibc.malloc.arena_max=2:glibc.cpu.x86_shstk=off";
        assert_eq!(set[1], tunables);
        let (set, removed) = composed("jemalloc:retain=true", Some("/z/libjemalloc.so.2"), &caller);
        assert_eq!(set[0], "LD_PRELOAD=/z/libjemalloc.so.2:libfake.so");
        assert_eq!(set[1], "MALLOC_CONF=retain:true");
        assert_eq!(removed, ["MALLOC_ARENA_MAX", "MIMALLOC_VERBOSE"]);
    }

    #[test]
    fn a_library_that_is_missing_is_named_with_its_package() {
        for (variant, library, package) in [
            (
                "tcmalloc:release_rate=1",
                "libtcmalloc_minimal.so.4",
                "libgoogle-perftools4",
            ),
            ("jemalloc", "libjemalloc.so.2", "libjemalloc2"),
            (
                "mimalloc",
                "libmimalloc.so.3",
                "libmimalloc2.0 (libmimalloc3 from Debian 13 on)",
            ),
        ] {
            let error = Variant::parse(variant).unwrap().missing();
            assert_eq!(error.kind(), ErrorKind::Allocator);
            let start = format!("{variant}: {library} is not on this machine; ");
            let package = format!("the package {package}, or");
            let said = error.to_string();
            assert!(
                said.starts_with(&start) && said.contains(&package),
                "{said}"
            );
        }
    }

    #[test]
    fn preloaded_allocators_alone_leave_no_preload_behind() {
        let (set, removed) = composed("glibc", None, &[("LD_PRELOAD", "libmimalloc.so.2")]);
        assert_eq!((set, removed), (vec![], vec!["LD_PRELOAD".to_owned()]));
    }
}
