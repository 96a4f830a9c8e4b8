//! All processes of the machine at one moment, what they hold, and what nobody holds any more.
