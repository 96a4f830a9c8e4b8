//! Starts programs: finds the preload shim, tests it, sets the environment, waits for the hello.
