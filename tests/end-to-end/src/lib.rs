//! openteam-end-to-end
