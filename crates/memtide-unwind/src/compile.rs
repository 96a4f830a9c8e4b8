//! Compiles the rule of one return address from `.eh_frame`.
//!
//! The function's entry is found by binary search in `.eh_frame_hdr`, so nothing is prepared and
//! memory is needed only for addresses that are really seen: about a microsecond each.
//! Expressions other than gcc's realigned stack, and registers other than `rsp` and `rbp`, are
//! refused: the stack then ends, and the caller counts it.

use crate::rule::{Frame, Rule};
use gimli::{
    BaseAddresses, CfaRule, EhFrame, EhFrameHdr, EhFrameOffset, EndianSlice, FrameDescriptionEntry,
    LittleEndian, Operation, Pointer, Register, RegisterRule, UnwindContext, UnwindContextStorage,
    UnwindExpression, UnwindSection, UnwindTableRow,
};

type Bytes<'a> = EndianSlice<'a, LittleEndian>;

const RBP: Register = Register(6);
const RSP: Register = Register(7);
const RETURN_ADDRESS: Register = Register(16);

/// Room on the stack for the interpreter of unwinding programs; larger ones are refused.
#[derive(Debug)]
pub struct Storage;

impl UnwindContextStorage<usize> for Storage {
    type Rules = [(Register, RegisterRule<usize>); 32];
    type Stack = [UnwindTableRow<usize, Self>; 4];
}

/// The two sections of a loaded module, and where they lie in memory.
#[derive(Clone, Copy, Debug)]
pub struct EhFrameSections<'a> {
    /// `.eh_frame_hdr`.
    pub header: &'a [u8],
    /// Address of its first byte.
    pub header_address: u64,
    /// `.eh_frame`; may be longer than the section, as it ends itself.
    pub frames: &'a [u8],
    /// Address of its first byte.
    pub frames_address: u64,
}

impl EhFrameSections<'_> {
    /// Where `.eh_frame` begins, as the header at `header_address` says.
    pub fn frames_address(header: &[u8], header_address: u64) -> Option<u64> {
        let bases = BaseAddresses::default().set_eh_frame_hdr(header_address);
        let header = EhFrameHdr::new(header, LittleEndian)
            .parse(&bases, 8)
            .ok()?;
        match header.eh_frame_ptr() {
            Pointer::Direct(address) => Some(address),
            Pointer::Indirect(_) => None,
        }
    }
}

/// The rule for the code that is returned to at `address`. Damaged sections give
/// [`Rule::UNKNOWN`], as do addresses that no entry covers.
pub fn compile(sections: &EhFrameSections<'_>, address: u64) -> Rule {
    // The call is the last instruction before the address; what follows may be another function.
    let Some(call) = address.checked_sub(1) else {
        return Rule::UNKNOWN;
    };
    frame_at(sections, call).map_or(Rule::UNKNOWN, Rule::new)
}

fn frame_at(sections: &EhFrameSections<'_>, pc: u64) -> Option<Frame> {
    let bases = BaseAddresses::default()
        .set_eh_frame_hdr(sections.header_address)
        .set_eh_frame(sections.frames_address);
    let header = EhFrameHdr::new(sections.header, LittleEndian);
    let header = header.parse(&bases, 8).ok()?;
    let section = EhFrame::new(sections.frames, LittleEndian);
    let cie = |section: &EhFrame<_>, bases: &_, offset| section.cie_from_offset(bases, offset);
    // Not gimli's `fde_for_address`: it subtracts without looking where the table points below
    // the section, and panics where overflow is checked.
    let Pointer::Direct(place) = header.table()?.lookup(pc, &bases).ok()? else {
        return None;
    };
    let offset = usize::try_from(place.checked_sub(sections.frames_address)?).ok()?;
    let entry = section
        .fde_from_offset(&bases, EhFrameOffset(offset), cie)
        .ok()?;
    if !entry.contains(pc) {
        return None;
    }
    if entry.is_signal_trampoline() {
        return Some(Frame::Signal);
    }
    let mut context = UnwindContext::<usize, Storage>::new_in();
    let row = entry
        .unwind_info_for_address(&section, &bases, &mut context, pc)
        .ok()?;
    match row.register(RETURN_ADDRESS) {
        Some(RegisterRule::Undefined) => return Some(Frame::End),
        Some(RegisterRule::Offset(-8)) => {}
        _ => return None,
    }
    frame_of_row(row, &entry, &section)
}

fn frame_of_row(
    row: &UnwindTableRow<usize, Storage>,
    entry: &FrameDescriptionEntry<Bytes<'_>>,
    section: &EhFrame<Bytes<'_>>,
) -> Option<Frame> {
    match row.cfa() {
        CfaRule::RegisterAndOffset { register, offset } => {
            let saved = match row.register(RBP) {
                None | Some(RegisterRule::Undefined | RegisterRule::SameValue) => 0,
                Some(RegisterRule::Offset(offset)) => u32::try_from(offset.checked_neg()?).ok()?,
                Some(_) => return None,
            };
            let cfa = u32::try_from(*offset).ok()?;
            match *register {
                RSP => Some(Frame::Stack { cfa, saved }),
                RBP => Some(Frame::Base { cfa, saved }),
                _ => None,
            }
        }
        CfaRule::Expression(expression) => {
            let Some(RegisterRule::Expression(saved)) = row.register(RBP) else {
                return None;
            };
            let (Some((offset, true)), Some((0, false))) = (
                place_at_base(*expression, entry, section),
                place_at_base(saved, entry, section),
            ) else {
                return None;
            };
            let offset = i32::try_from(offset).ok()?;
            Some(Frame::Realigned { offset })
        }
    }
}

/// The offset from `rbp` of the place that an expression names, and whether it is what lies there that is
/// meant; `None` for all other expressions.
fn place_at_base(
    expression: UnwindExpression<usize>,
    entry: &FrameDescriptionEntry<Bytes<'_>>,
    section: &EhFrame<Bytes<'_>>,
) -> Option<(i64, bool)> {
    let mut operations = expression
        .get(section)
        .ok()?
        .operations(entry.cie().encoding());
    let Operation::RegisterOffset {
        register: RBP,
        offset,
        ..
    } = operations.next().ok()??
    else {
        return None;
    };
    let read = match operations.next().ok()? {
        None => return Some((offset, false)),
        Some(Operation::Deref { size: 8, .. }) => true,
        Some(_) => return None,
    };
    let is_last = operations.next().ok()?.is_none();
    is_last.then_some((offset, read))
}
