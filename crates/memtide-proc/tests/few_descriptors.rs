//! A process of more threads than there are descriptors. A test binary of its own, because the limit
//! is the whole process's.

mod common;

use common::Target;
use memtide_proc::{Buffer, ErrorKind, Listing, ThreadEvent, ThreadFiles};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

#[test]
fn threads_without_a_descriptor_are_opened_at_every_sweep() {
    let mut target = Target::start(&["threads", "60"]);
    let process = target.directory();
    let (mut listing, mut buffer) = (Listing::new(), Buffer::new());
    let maximum = getrlimit(Resource::Nofile).maximum;
    let few = Rlimit {
        current: Some(40),
        maximum,
    };
    setrlimit(Resource::Nofile, few).unwrap();

    let mut threads = ThreadFiles::open(&process, &mut listing).unwrap();
    assert_eq!(threads.len(), 61);
    let mut tids = Vec::new();
    // The table took all descriptors, so that the rest cannot even be opened one after another.
    let sweep = threads.sweep(&mut buffer, |tid, _| tids.push(tid)).unwrap();
    assert!(sweep.unkept > 20, "{sweep:?}");
    assert_eq!((sweep.read, sweep.failed), (61, 0), "{sweep:?}");
    assert_eq!(tids.len(), 61);
    assert_eq!(
        process.keep("stat").err().map(|error| error.kind()),
        None::<ErrorKind>
    );

    target.end();
    let mut ended = 0;
    threads
        .sweep(&mut buffer, |_, event| {
            ended += u32::from(event == ThreadEvent::Ended);
        })
        .unwrap();
    assert_eq!(
        ended, 61,
        "ends are seen with and without a kept descriptor"
    );
}
