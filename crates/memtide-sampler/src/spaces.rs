//! Reading the mappings within the budget: `smaps`, or `smaps_rollup` where that is too dear.

use crate::address_space::{AddressSpace, add_sums};
use memtide_model::{MappingState, Maps};
use memtide_proc::parse::smaps::parse_rollup;
use memtide_proc::{Buffer, Error, ErrorKind, KeptFile, ProcessDir, SmapsOutcome, SmapsReader};

/// The kept files and the tables.
#[derive(Debug)]
pub(crate) struct Spaces {
    smaps: Option<SmapsReader>,
    rollup: Option<KeptFile>,
    pub(crate) table: AddressSpace,
}

/// What a read of the mappings gave.
#[derive(Debug)]
pub(crate) enum Read {
    /// The mappings.
    Maps(Box<Maps>, Vec<MappingState>),
    /// Nothing: the address space that was opened is no more; another program runs now, or none.
    Stale,
    /// This user may not read them.
    Denied,
}

impl Spaces {
    pub(crate) fn open(process: &ProcessDir) -> Result<Self, Error> {
        Ok(Self {
            smaps: allowed(SmapsReader::open(process))?,
            rollup: allowed(process.keep("smaps_rollup"))?,
            table: AddressSpace::default(),
        })
    }

    /// Opens the files anew: descriptors hold the address space that was there when they were opened.
    pub(crate) fn reopen(&mut self, process: &ProcessDir) -> Result<(), Error> {
        self.smaps = allowed(SmapsReader::open(process))?;
        self.rollup = allowed(process.keep("smaps_rollup"))?;
        self.table.reset();
        Ok(())
    }

    pub(crate) fn has_rollup(&self) -> bool {
        self.rollup.is_some()
    }

    pub(crate) fn is_denied(&self) -> bool {
        self.smaps.is_none()
    }

    pub(crate) fn read(&mut self, buffer: &mut Buffer) -> Result<Read, Error> {
        let Some(smaps) = &mut self.smaps else {
            return Ok(Read::Denied);
        };
        self.table.begin();
        match smaps.for_each(buffer, |entry| self.table.push(entry)) {
            Ok(SmapsOutcome::Read(_)) => {
                let (maps, states) = self.table.finish();
                Ok(Read::Maps(Box::new(maps), states))
            }
            Ok(SmapsOutcome::Empty) => Ok(Read::Stale),
            Err(error) if error.is_gone() => Ok(Read::Stale),
            Err(error) => Err(error),
        }
    }

    /// Only the sums over all mappings.
    pub(crate) fn read_rollup(&self, buffer: &mut Buffer) -> Result<Option<Maps>, Error> {
        let Some(rollup) = &self.rollup else {
            return Ok(None);
        };
        let bytes = match rollup.read(buffer) {
            Ok([]) => return Ok(None),
            Ok(bytes) => bytes,
            Err(error) if error.is_gone() => return Ok(None),
            Err(error) => return Err(error),
        };
        let mut maps = Maps {
            rollup_only: true,
            ..Maps::default()
        };
        add_sums(&mut maps, &parse_rollup(bytes)?);
        Ok(Some(maps))
    }
}

/// What may not be read, or is not there, is done without.
fn allowed<T>(opened: Result<T, Error>) -> Result<Option<T>, Error> {
    match opened {
        Ok(file) => Ok(Some(file)),
        Err(error) if matches!(error.kind(), ErrorKind::Denied | ErrorKind::Missing) => Ok(None),
        Err(error) => Err(error),
    }
}
