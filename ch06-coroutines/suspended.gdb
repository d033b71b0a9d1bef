# For gdb: where a suspended coroutine stands.
#
#   (gdb) source ch06-coroutines/suspended.gdb
#   (gdb) suspended coroutine.left
#
# It looks as if the thread were there, prints the calls, and puts the registers back. What lies at
# `left` is drawn in src/context/x86_64.rs.
define suspended
  set language c
  set $left = (unsigned long *) ($arg0)
  set $was_pc = $pc
  set $was_rsp = $rsp
  set $was_rbx = $rbx
  set $was_rbp = $rbp
  set $pc = $left[0]
  set $rbx = $left[1]
  set $rbp = $left[2]
  set $rsp = $left + 3
  backtrace
  set $pc = $was_pc
  set $rsp = $was_rsp
  set $rbx = $was_rbx
  set $rbp = $was_rbp
  set language auto
end
