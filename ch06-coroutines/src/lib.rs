//! Chapter 6: what if the code could look like chapter 1 again?
