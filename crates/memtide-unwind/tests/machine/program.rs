//! Programs at random: a few functions with few sizes, so that different stacks look alike, and what
//! they do next.

use super::{Active, Context, Dice, Function, Machine, Shape, Site, TOP, WORDS};
use memtide_unwind::{Frame, Rule};
use std::collections::HashMap;

/// Modules whose addresses have the same lower halves.
const MODULES: [u64; 2] = [0x5555_5555_0000, 0x7f12_5555_0000];
/// A call at the very beginning of what a lower half can tell apart.
const LOWER_HALF_ZERO: u64 = 0x7f13_0000_0000;
/// What starts the first function of a thread, where something does.
const OUTERMOST: u64 = 0x7f14_0000_0123;

/// What a program is like, and what it has come to.
pub struct Program {
    pub machine: Machine,
    depth: u64,
    has_signals: bool,
}

impl Program {
    /// The program of a seed. Every fourth one is dishonest.
    pub fn new(seed: u64) -> Self {
        let mut dice = Dice::new(seed);
        let dishonest = seed % 4 == 3;
        let depth = match seed % 40 {
            // Deeper than is followed; these take long.
            0 | 15 => 600,
            _ => *dice.of(&[4, 7, 7, 12, 12, 30, 60]),
        };
        let mut functions: Vec<Function> = (0..3 + dice.below(6))
            .map(|index| function(index, dishonest, &mut dice))
            .collect();
        if dice.one_in(4) {
            functions[1].sites[0].address = LOWER_HALF_ZERO;
        }
        let restorer = functions.len();
        functions.push(Function {
            shape: Shape::Signal,
            room: 0,
            sites: vec![Site {
                address: 0x7f15_0000_0456,
                pushed: 0,
            }],
        });
        let mut rules: HashMap<u64, Rule> = functions.iter().flat_map(rules_of).collect();
        rules.insert(OUTERMOST, Rule::new(Frame::End));
        if dice.one_in(3) {
            // As in `_start`: whatever it does, the stack ends there.
            for site in &functions[0].sites {
                rules.insert(site.address, Rule::new(Frame::End));
            }
        }
        let tops = (0..=dice.below(3)).map(|index| TOP - index * WORDS * 32);
        let mut machine = Machine {
            functions,
            rules,
            restorer,
            contexts: tops.map(Context::new).collect(),
            current: 0,
            dishonest,
        };
        for current in (0..machine.contexts.len()).rev() {
            machine.current = current;
            let root = *dice.of(&[0, OUTERMOST]);
            machine.boot(0, root, dice.below(9));
        }
        Self {
            machine,
            depth,
            has_signals: dice.one_in(4),
        }
    }

    /// Does something at random.
    pub fn go_on(&mut self, dice: &mut Dice) {
        let active = self.machine.now().active.len() as u64;
        match dice.below(100) {
            0..58 => {
                let deeper = if active < self.depth { 6 } else { 4 };
                if dice.below(10) < deeper {
                    self.call(dice);
                } else {
                    self.leave(dice);
                }
            }
            58..64 if active > 1 => {
                let callee = self.callee(dice);
                self.machine.tail_call(callee);
            }
            64..74 => self.move_stack(dice),
            74..82 => self.use_base(dice),
            82..91 => self.write(dice),
            // Those that are to become deep would never be, if they jumped as often.
            91..94 if self.depth < 50 || dice.one_in(20) => self.jump(dice, active),
            94..96 => self.switch(dice),
            96 if self.has_signals && self.machine.now().has_room() => {
                let handler = self.callee(dice);
                self.machine.interrupt(handler);
            }
            97 => self.change_outermost(dice),
            98 => self.recurse(dice),
            _ => {}
        }
    }

    fn callee(&self, dice: &mut Dice) -> usize {
        index(dice, self.machine.restorer)
    }

    fn call(&mut self, dice: &mut Dice) {
        if !self.machine.now().has_room() {
            return self.leave(dice);
        }
        let sites = self.machine.functions[self.machine.top().function]
            .sites
            .len();
        let (site, callee) = (index(dice, sites), self.callee(dice));
        self.machine.call(site, callee);
    }

    fn leave(&mut self, dice: &mut Dice) {
        if self.machine.now().active.len() > 1 {
            self.machine.leave(dice);
        }
    }

    /// `alloca`, or the end of a block with an array of variable length.
    fn move_stack(&mut self, dice: &mut Dice) {
        let top = self.machine.top();
        let Function { shape, room, .. } = self.machine.functions[top.function];
        if !matches!(shape, Shape::Base { .. } | Shape::Realigned { .. }) {
            return;
        }
        let lower = if dice.one_in(3) || !self.machine.now().has_room() {
            frame_end(&top, shape) - room
        } else {
            top.body - dice.below(24) * 8
        };
        self.machine.top_mut().body = lower;
    }

    /// `rbp` as any other register, by those who may and those who must not.
    fn use_base(&mut self, dice: &mut Dice) {
        let shape = self.machine.functions[self.machine.top().function].shape;
        let may = matches!(
            shape,
            Shape::Fixed { saved: 16.., .. } | Shape::Hidden { .. } | Shape::Liar { .. }
        );
        if may {
            let base = self.machine.anything(dice);
            self.machine.top_mut().base = base;
        }
    }

    /// To a local, or below `rsp` as something that has returned since.
    fn write(&mut self, dice: &mut Dice) {
        let top = self.machine.top();
        let shape = self.machine.functions[top.function].shape;
        let low = top.body - 64;
        let high = if self.machine.dishonest && dice.one_in(4) {
            self.machine.now().top
        } else {
            frame_end(&top, shape)
        };
        let value = self.machine.anything(dice);
        let address = low + dice.below((high - low) / 8) * 8;
        let own = match shape {
            Shape::Fixed { saved: 0, .. } => None,
            Shape::Fixed { saved, .. } => Some(top.cfa - saved),
            _ => None,
        };
        if own != Some(address) {
            self.machine.now_mut().write(address, value);
        }
    }

    fn jump(&mut self, dice: &mut Dice, active: u64) {
        let left = if dice.one_in(4) {
            1 + dice.below(active.min(3))
        } else {
            1 + dice.below(active)
        };
        self.machine.jump(usize::try_from(left).expect("small"));
    }

    /// To another stack; the thread's own one is chosen as often as all others.
    fn switch(&mut self, dice: &mut Dice) {
        self.machine.current = match dice.below(2) {
            0 => 0,
            _ => index(dice, self.machine.contexts.len()),
        };
    }

    /// Who started this stack is somebody else, or nobody.
    fn change_outermost(&mut self, dice: &mut Dice) {
        let root = *dice.of(&[0, OUTERMOST]);
        self.machine.change_outermost(root);
    }

    fn recurse(&mut self, dice: &mut Dice) {
        let (site, function) = (0, self.machine.top().function);
        for _ in 0..dice.below(self.depth) {
            if self.machine.now().has_room() {
                self.machine.call(site, function);
            }
        }
    }
}

fn index(dice: &mut Dice, limit: usize) -> usize {
    usize::try_from(dice.below(limit as u64)).expect("below a length")
}

/// Of a frame's own words, the end of those that are its locals.
fn frame_end(active: &Active, shape: Shape) -> u64 {
    let cfa = active.cfa;
    match shape {
        Shape::Base { saved } => cfa - saved,
        Shape::Realigned { align, offset } => {
            (((cfa - 8) & !(align - 1)) - 16).wrapping_add_signed(i64::from(offset))
        }
        _ => cfa - 8,
    }
}

fn function(index: u64, dishonest: bool, dice: &mut Dice) -> Function {
    let shape = match dice.below(12) {
        0..=2 => Shape::Fixed {
            size: 8 + dice.below(5) * 8,
            saved: 0,
        },
        3..=5 => {
            let words = 2 + dice.below(4);
            let saved = (2 + dice.below(words - 1)) * 8;
            Shape::Fixed {
                size: words * 8,
                saved,
            }
        }
        6..=8 => Shape::Base {
            saved: *dice.of(&[16, 16, 24]),
        },
        9 | 10 => Shape::Realigned {
            align: *dice.of(&[32, 64]),
            offset: *dice.of(&[-8, -8, -16, -24]),
        },
        _ if dishonest => Shape::Liar {
            size: 8 + dice.below(4) * 8,
        },
        _ if index > 1 && dice.one_in(2) => Shape::Hidden {
            size: 8 + dice.below(5) * 8,
        },
        _ => Shape::Fixed { size: 24, saved: 0 },
    };
    let module = MODULES[usize::try_from(index % 2).expect("two")];
    let room = dice.below(5) * 8;
    let sites = (0..=dice.below(4)).map(|site| Site {
        address: module + index / 2 * 0x1000 + site * 0x10 + 5,
        pushed: *dice.of(&[0, 0, 8, 16]),
    });
    Function {
        shape,
        room,
        sites: sites.collect(),
    }
}

/// What a compiler writes down for the calls of a function.
fn rules_of(function: &Function) -> impl Iterator<Item = (u64, Rule)> {
    let small = |bytes: u64| u32::try_from(bytes).expect("frames are small");
    let shape = function.shape;
    function.sites.iter().map(move |site| {
        let frame = match shape {
            Shape::Fixed { size, saved } => Frame::Stack {
                cfa: small(size + site.pushed),
                saved: small(saved),
            },
            Shape::Base { saved } => Frame::Base {
                cfa: small(saved),
                saved: small(saved),
            },
            Shape::Realigned { offset, .. } => Frame::Realigned { offset },
            Shape::Liar { size } => Frame::Stack {
                cfa: small(size + site.pushed),
                saved: 0,
            },
            Shape::Hidden { .. } => Frame::Unknown,
            Shape::Signal => Frame::Signal,
        };
        (site.address, Rule::new(frame))
    })
}
