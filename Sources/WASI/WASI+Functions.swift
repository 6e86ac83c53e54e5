import WasmRuntime
import WebAssembly

/// One function of the import module.
struct WASIFunction {
  let name: String
  let parameters: [ValueType]
  /// What it throws as `WASIErrno` is its result; every other error ends the guest.
  let body: (WASI, GuestCall) throws -> Void

  /// `signature`: a letter per parameter, `i` for 32 bits and `I` for 64.
  init(_ name: String, _ signature: String, _ body: @escaping (WASI, GuestCall) throws -> Void) {
    self.name = name
    self.parameters = signature.map { $0 == "I" ? .i64 : .i32 }
    self.body = body
  }
}

extension WASI {
  /// The import module, in the order of its specification.
  static var functions: [WASIFunction] {
    [
      WASIFunction("args_get", "ii") { try $0.argumentsGet($1) },
      WASIFunction("args_sizes_get", "ii") { try $0.argumentsSizes($1) },
      WASIFunction("environ_get", "ii") { try $0.environmentGet($1) },
      WASIFunction("environ_sizes_get", "ii") { try $0.environmentSizes($1) },
      WASIFunction("clock_res_get", "ii") { try $0.clockResolution($1) },
      WASIFunction("clock_time_get", "iIi") { try $0.clockTime($1) },
      WASIFunction("fd_advise", "iIIi") { try $0.descriptorAdvise($1) },
      WASIFunction("fd_allocate", "iII") { try $0.descriptorAllocate($1) },
      WASIFunction("fd_close", "i") { try $0.descriptors.close($1.u32(0)) },
      WASIFunction("fd_datasync", "i") { try $0.descriptorSync($1, dataOnly: true) },
      WASIFunction("fd_fdstat_get", "ii") { try $0.descriptorStatus($1) },
      WASIFunction("fd_fdstat_set_flags", "ii") { try $0.descriptorSetFlags($1) },
      WASIFunction("fd_fdstat_set_rights", "iII") { try $0.descriptorSetRights($1) },
      WASIFunction("fd_filestat_get", "ii") { try $0.descriptorFileStatus($1) },
      WASIFunction("fd_filestat_set_size", "iI") { try $0.descriptorSetSize($1) },
      WASIFunction("fd_filestat_set_times", "iIIi") { try $0.descriptorSetTimes($1) },
      WASIFunction("fd_pread", "iiiIi") { try $0.descriptorRead($1, isPositioned: true) },
      WASIFunction("fd_prestat_get", "ii") { try $0.preopenStatus($1) },
      WASIFunction("fd_prestat_dir_name", "iii") { try $0.preopenName($1) },
      WASIFunction("fd_pwrite", "iiiIi") { try $0.descriptorWrite($1, isPositioned: true) },
      WASIFunction("fd_read", "iiii") { try $0.descriptorRead($1, isPositioned: false) },
      WASIFunction("fd_readdir", "iiiIi") { try $0.descriptorReadDirectory($1) },
      WASIFunction("fd_renumber", "ii") { try $0.descriptors.renumber(from: $1.u32(0), to: $1.u32(1)) },
      WASIFunction("fd_seek", "iIii") { try $0.descriptorSeek($1) },
      WASIFunction("fd_sync", "i") { try $0.descriptorSync($1, dataOnly: false) },
      WASIFunction("fd_tell", "ii") { try $0.descriptorTell($1) },
      WASIFunction("fd_write", "iiii") { try $0.descriptorWrite($1, isPositioned: false) },
      WASIFunction("path_create_directory", "iii") { try $0.pathCreateDirectory($1) },
      WASIFunction("path_filestat_get", "iiiii") { try $0.pathFileStatus($1) },
      WASIFunction("path_filestat_set_times", "iiiiIIi") { try $0.pathSetTimes($1) },
      WASIFunction("path_link", "iiiiiii") { try $0.pathLink($1) },
      WASIFunction("path_open", "iiiiiIIii") { try $0.pathOpen($1) },
      WASIFunction("path_readlink", "iiiiii") { try $0.pathReadLink($1) },
      WASIFunction("path_remove_directory", "iii") { try $0.pathRemove($1, isDirectory: true) },
      WASIFunction("path_rename", "iiiiii") { try $0.pathRename($1) },
      WASIFunction("path_symlink", "iiiii") { try $0.pathSymbolicLink($1) },
      WASIFunction("path_unlink_file", "iii") { try $0.pathRemove($1, isDirectory: false) },
      WASIFunction("poll_oneoff", "iiii") { try $0.poll($1) },
      WASIFunction("proc_exit", "i") { throw WASIExit(status: $1.u32(0)) },
      WASIFunction("proc_raise", "i") { _, _ in throw WASIErrno.notImplemented },
      WASIFunction("sched_yield", "") { _, _ in },
      WASIFunction("random_get", "ii") { try $0.random($1) },
      WASIFunction("sock_accept", "iii") { try $0.refuseSocket($1) },
      WASIFunction("sock_recv", "iiiiii") { try $0.refuseSocket($1) },
      WASIFunction("sock_send", "iiiii") { try $0.refuseSocket($1) },
      WASIFunction("sock_shutdown", "ii") { try $0.refuseSocket($1) },
    ]
  }

  /// A program is given no sockets.
  private func refuseSocket(_ call: GuestCall) throws {
    _ = try descriptors.descriptor(call.u32(0))
    throw WASIErrno.notSocket
  }
}
