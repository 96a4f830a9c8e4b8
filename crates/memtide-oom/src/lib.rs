//! What the kernel wrote down when it killed for want of memory: the kernel log, live or after the fact.
