//! Every fork, exec and exit of a tree of processes, and the tree that they make.
