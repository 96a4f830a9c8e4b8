//! A simulated machine: stacks in memory, functions of every frame shape, and calls, returns and jumps
//! that write what real code writes and nothing else. Memory that was left is not cleared, so
//! everything that a walk could be deceived by lies around as it does in a process.
//!
//! The machine knows who called whom, from its own list of active functions. A walk knows only
//! memory, registers and rules; that is what is compared.

pub mod program;

use memtide_unwind::walk::{Cursor, StackMemory};
use memtide_unwind::{Frame, Rule};
use std::cell::Cell;
use std::collections::HashMap;

/// The first address above the first stack; the others lie far below it.
pub const TOP: u64 = 0x7ffe_4000_0000;
/// Words of each stack.
pub const WORDS: u64 = 1 << 14;
/// Words that are left alone at the lower end, for signals and large frames.
const SPARE: u64 = 512;

/// Numbers at random; the same ones for the same seed.
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Self {
        Self((seed + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    pub fn number(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 16
    }

    /// From 0 up to below `limit`.
    pub fn below(&mut self, limit: u64) -> u64 {
        self.number() % limit
    }

    pub fn one_in(&mut self, times: u64) -> bool {
        self.below(times) == 0
    }

    pub fn of<'a, T>(&mut self, list: &'a [T]) -> &'a T {
        let index = self.below(list.len() as u64);
        &list[usize::try_from(index).expect("an index")]
    }
}

/// How a function makes its frame. Sizes in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// `rsp` does not move. `saved` is where `rbp` was saved, below the CFA; 0: it is not touched.
    Fixed { size: u64, saved: u64 },
    /// `push rbp; mov rbp, rsp` after `saved - 16` bytes of other pushes; `rsp` moves freely.
    Base { saved: u64 },
    /// gcc's entry with a larger alignment: `rbp` is aligned, the CFA is kept `offset` bytes from it.
    Realigned { align: u64, offset: i32 },
    /// Nobody wrote down what it does, but it keeps to the rules of calls.
    Hidden { size: u64 },
    /// It says that it does not touch `rbp`, and does.
    Liar { size: u64 },
    /// Made by the kernel: the interrupted registers lie in it.
    Signal,
}

/// A call in a function.
#[derive(Clone, Copy, Debug)]
pub struct Site {
    /// The address that it returns to.
    pub address: u64,
    /// Bytes pushed for the call.
    pub pushed: u64,
}

#[derive(Clone, Debug)]
pub struct Function {
    pub shape: Shape,
    /// Bytes of locals where `rsp` moves.
    pub room: u64,
    pub sites: Vec<Site>,
}

/// A function that has been called and has not returned.
#[derive(Clone, Copy, Debug)]
pub struct Active {
    pub function: usize,
    /// `rsp` before the return address was pushed.
    pub cfa: u64,
    /// `rsp` between calls.
    pub body: u64,
    /// `rbp` between calls.
    pub base: u64,
    /// What `rbp` was when it was entered.
    callers_base: u64,
    /// 0 if nobody called it.
    return_address: u64,
}

impl Active {
    /// Not one, but what stands at the end of a stack.
    const NOBODY: Self = Self {
        function: 0,
        cfa: 0,
        body: 0,
        base: 0,
        callers_base: 0,
        return_address: 0,
    };
}

/// A stack of its own, of the thread or of a coroutine.
pub struct Context {
    pub top: u64,
    words: Vec<u64>,
    pub active: Vec<Active>,
    /// The lowest address that may be read; walks have no business below the leaf's slot.
    readable: Cell<u64>,
}

impl StackMemory for Context {
    fn word(&self, address: u64) -> u64 {
        assert!(address.is_multiple_of(8), "{address:#x} is not aligned");
        let bounds = self.readable.get()..self.top;
        assert!(
            bounds.contains(&address),
            "{address:#x} was read outside of {bounds:x?}"
        );
        self.words[self.index(address)]
    }
}

impl Context {
    pub fn new(top: u64) -> Self {
        let words = vec![0; usize::try_from(WORDS).expect("small")];
        Self {
            top,
            words,
            active: Vec::new(),
            readable: Cell::new(top),
        }
    }

    fn index(&self, address: u64) -> usize {
        let low = self.top - WORDS * 8;
        usize::try_from((address - low) / 8).expect("on this stack")
    }

    pub fn read(&self, address: u64) -> u64 {
        self.words[self.index(address)]
    }

    pub fn write(&mut self, address: u64, value: u64) {
        let index = self.index(address);
        self.words[index] = value;
    }

    /// Whether there is room for more calls.
    pub fn has_room(&self) -> bool {
        let body = self.active.last().map_or(self.top, |last| last.body);
        body > self.top - (WORDS - SPARE) * 8
    }
}

/// Functions, stacks, and which of them runs.
pub struct Machine {
    pub functions: Vec<Function>,
    pub rules: HashMap<u64, Rule>,
    /// The kernel's way back from a handler.
    pub restorer: usize,
    pub contexts: Vec<Context>,
    pub current: usize,
    /// Liars and writes to foreign frames: the list of active functions is not what a walk must find.
    pub dishonest: bool,
}

/// A call of the allocator, and what a walk from there must find.
pub struct Event {
    pub start: Cursor,
    /// Return addresses, leaf first; `None` where a signal's frame comes before the end, or nobody can tell.
    pub truth: Option<Vec<u64>>,
}

impl Machine {
    pub fn now(&self) -> &Context {
        &self.contexts[self.current]
    }

    pub fn now_mut(&mut self) -> &mut Context {
        &mut self.contexts[self.current]
    }

    pub fn top(&self) -> Active {
        *self.now().active.last().expect("something runs")
    }

    pub fn top_mut(&mut self) -> &mut Active {
        let last = self.now_mut().active.last_mut();
        last.expect("something runs")
    }

    /// The rule of a return address. Where there are liars, what is no return address has one, too, as
    /// it could in a process where garbage points into code.
    pub fn rule(&self, address: u64) -> Rule {
        match self.rules.get(&address) {
            Some(rule) => *rule,
            None if self.dishonest => Rule::new(match address % 5 {
                0 => Frame::Stack { cfa: 8, saved: 0 },
                1 => Frame::Stack { cfa: 24, saved: 16 },
                2 => Frame::Base { cfa: 16, saved: 16 },
                3 => Frame::Realigned { offset: -8 },
                _ => Frame::Unknown,
            }),
            None => Rule::UNKNOWN,
        }
    }

    /// Empties the current stack and starts a function at its end, as a thread is started. Of the words
    /// above its return address, `outside` are other people's.
    pub fn boot(&mut self, function: usize, root: u64, outside: u64) {
        let context = self.now_mut();
        context.active.clear();
        let cfa = context.top - outside * 8;
        context.write(cfa - 8, root);
        let caller = Active {
            return_address: root,
            ..Active::NOBODY
        };
        self.enter(function, cfa, caller);
    }

    /// `caller.base` is `rbp` at the call.
    fn enter(&mut self, function: usize, cfa: u64, caller: Active) {
        let Function { shape, room, .. } = self.functions[function];
        let mut active = Active {
            function,
            cfa,
            callers_base: caller.base,
            ..caller
        };
        let context = self.now_mut();
        match shape {
            Shape::Fixed { size, saved } => {
                if saved != 0 {
                    context.write(cfa - saved, caller.base);
                }
                active.body = cfa - size;
            }
            Shape::Base { saved } => {
                context.write(cfa - saved, caller.base);
                active.base = cfa - saved;
                active.body = active.base - room;
            }
            Shape::Realigned { align, offset } => {
                let aligned = (cfa - 8) & !(align - 1);
                context.write(aligned - 8, caller.return_address);
                context.write(aligned - 16, caller.base);
                active.base = aligned - 16;
                let kept = active.base.wrapping_add_signed(i64::from(offset));
                context.write(kept, cfa);
                active.body = kept - room;
            }
            Shape::Hidden { size } | Shape::Liar { size } => active.body = cfa - size,
            Shape::Signal => active.body = cfa - 40 * 8,
        }
        context.active.push(active);
    }

    /// Calls a function from the one that runs.
    pub fn call(&mut self, site: usize, function: usize) {
        let (slot, address) = self.push_return(site);
        let caller = Active {
            return_address: address,
            ..self.top()
        };
        self.enter(function, slot + 8, caller);
    }

    fn push_return(&mut self, site: usize) -> (u64, u64) {
        let top = self.top();
        let Site { address, pushed } = self.functions[top.function].sites[site];
        let slot = top.body - pushed - 8;
        self.now_mut().write(slot, address);
        (slot, address)
    }

    /// The kernel calls a handler. What runs is interrupted below its red zone.
    pub fn interrupt(&mut self, handler: usize) {
        let top = self.top();
        let restorer = self.restorer;
        let frame = top.body - 128;
        self.enter(
            restorer,
            frame,
            Active {
                return_address: 0,
                ..top
            },
        );
        self.call(0, handler);
    }

    /// The function that runs returns; not the last one.
    pub fn leave(&mut self, dice: &mut Dice) {
        let left = self.now_mut().active.pop().expect("something runs");
        let is_liar = matches!(self.functions[left.function].shape, Shape::Liar { .. });
        let base = if is_liar && dice.one_in(2) {
            self.anything(dice)
        } else {
            left.callers_base
        };
        self.top_mut().base = base;
        // A handler's return is the end of its signal, too.
        if self.functions[self.top().function].shape == Shape::Signal {
            let signal = self.now_mut().active.pop().expect("the handler's frame");
            self.top_mut().base = signal.callers_base;
        }
    }

    /// The function that runs gives way to another one, which will return to the same caller.
    pub fn tail_call(&mut self, function: usize) {
        let left = self.now_mut().active.pop().expect("something runs");
        let caller = Active {
            base: left.callers_base,
            ..left
        };
        self.enter(function, left.cfa, caller);
    }

    /// Drops all but the outermost `left` functions: `longjmp`, or an exception that is caught there.
    pub fn jump(&mut self, left: usize) {
        self.now_mut().active.truncate(left);
        // Nobody jumps into the kernel's frame.
        if self.functions[self.top().function].shape == Shape::Signal {
            self.now_mut().active.pop();
        }
    }

    /// Replaces the return address of the outermost function, or the 0 in its place.
    pub fn change_outermost(&mut self, root: u64) {
        let context = self.now_mut();
        if let Some(first) = context.active.first_mut() {
            first.return_address = root;
            let slot = first.cfa - 8;
            context.write(slot, root);
        }
    }

    /// Some number that may well be found in a register or in a local.
    pub fn anything(&self, dice: &mut Dice) -> u64 {
        let top = self.now().top;
        let address = top - 8 - dice.below(512) * 8;
        match dice.below(6) {
            0 => 0,
            1 => dice.number(),
            2 => address,
            3 => self.now().read(address),
            4 => {
                let function = dice.of(&self.functions);
                dice.of(&function.sites).address
            }
            _ => self.top().callers_base,
        }
    }

    /// The function that runs calls the allocator.
    pub fn allocate(&mut self, dice: &mut Dice) -> Event {
        let site = dice.below(self.functions[self.top().function].sites.len() as u64);
        let (slot, address) = self.push_return(usize::try_from(site).expect("an index"));
        let base = self.top().base;
        self.now().readable.set(slot);
        Event {
            start: Cursor { slot, base },
            truth: self.truth(address),
        }
    }

    fn truth(&self, leaf: u64) -> Option<Vec<u64>> {
        let callers = self.now().active.iter().rev();
        let mut found = Vec::new();
        for address in [leaf]
            .into_iter()
            .chain(callers.map(|active| active.return_address))
        {
            if address == 0 {
                break;
            }
            found.push(address);
            match self.rule(address).frame() {
                Frame::Signal => return None,
                Frame::End | Frame::Unknown => break,
                _ => {}
            }
        }
        (!self.dishonest).then_some(found)
    }
}
