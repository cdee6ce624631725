//! Every page, with ordinary, empty, wrong and hostile data.
