//! openteam-gateway
