//! openteam-operator
