"""Services that other people wrote, run by an ordinary user in a directory of its own: postfix, dovecot, PostgreSQL, slapd, MariaDB. Where root runs the
tests, that user is nobody. What is not installed is not run, and `lacking` says why."""
import fcntl
import functools
import glob
import grp
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time


def find(*names):
    """The first of these programs that is there, also where an ordinary PATH does not lead; None."""
    for name in names:
        found = shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/lib/postfix/sbin:/usr/lib/dovecot")
        for path in [found] if found else sorted(glob.glob(name), reverse=True):
            if os.access(path, os.X_OK):
                return path
    return None


def listens(address, port, datagrams=False):
    """Does a socket wait there? No connection is made for it."""
    wanted = "%08X:%04X" % (int.from_bytes(socket.inet_aton(address), "little"), port)
    with open("/proc/net/" + ("udp" if datagrams else "tcp"), encoding="ascii") as f:
        return any(line.split()[1] == wanted and line.split()[3] in ("0A", "07") for line in f)


class Services:
    """Each method of the kind start_x() is given what it needs and starts one server; its sockets are there when wait() returns."""

    def __init__(self, port):
        self.port = port
        self.user = pwd.getpwnam("nobody") if os.geteuid() == 0 else pwd.getpwuid(os.geteuid())
        self.dir = tempfile.mkdtemp(prefix="touchmark-farm-")
        self.own(self.dir, 0o755)
        self.lacking = {}
        self.running = []  # (process, signal that ends it)
        self.awaited = []  # (address, name of the log)
        self.sockets = []
        self.count = 0
        self.lock = threading.Lock()

    # --- files ---

    def own(self, path, mode):
        os.chmod(path, mode)
        if os.geteuid() == 0:
            os.chown(path, self.user.pw_uid, self.user.pw_gid)
        return path

    def directory(self, name):
        path = os.path.join(self.dir, name)
        os.mkdir(path)
        return self.own(path, 0o700)

    def file(self, name, text, mode=0o600):
        path = os.path.join(self.dir, name)
        with open(path, "w", encoding="utf-8") as f:
            f.write(text)
        return self.own(path, mode)

    def pem(self, *certs):
        """(file with the certificates, file with the key of the first): the server's own."""
        with self.lock:
            self.count += 1
            name = str(self.count)
        chain = ""
        for c in certs:
            with open(c[2] + ".pem", encoding="ascii") as f:
                chain += f.read()
        with open(certs[0][2] + ".key", encoding="ascii") as f:
            return self.file(name + ".pem", chain), self.file(name + ".key", f.read())

    # --- processes ---

    @property
    def as_user(self):
        root = {"user": self.user.pw_uid, "group": self.user.pw_gid, "extra_groups": []} if os.geteuid() == 0 else {}
        return {"cwd": self.dir, "stdin": subprocess.DEVNULL, **root}

    def run(self, *command):
        """A command that ends by itself."""
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env={**os.environ, "LC_ALL": "C"}, **self.as_user)
        assert done.returncode == 0, f"{' '.join(command)}: {done.stdout.decode(errors='replace')}"

    def spawn(self, log, command, addresses, end=signal.SIGTERM, env=None, pass_fds=()):
        path = os.path.join(self.dir, log + ".log")
        with open(path, "ab") as f:
            p = subprocess.Popen(command, stdout=f, stderr=f, env={**os.environ, **(env or {})}, pass_fds=pass_fds, **self.as_user)
        self.running.append((p, end))
        self.awaited += [(a, path) for a in addresses]
        return p

    def wait(self):
        deadline = time.monotonic() + 30
        for address, log in self.awaited:
            while not listens(address, self.port):
                assert time.monotonic() < deadline, f"{address}: " + open(log, encoding="utf-8", errors="replace").read()[-3000:]
                time.sleep(0.02)
        self.awaited.clear()

    @staticmethod
    def end(running):
        for p, end in running:
            if p.poll() is None:
                p.send_signal(end)
        for p, _ in running:
            try:
                p.wait(10)
            except subprocess.TimeoutExpired:
                p.kill()
                p.wait()

    def stop_one(self, process):
        self.end([r for r in self.running if r[0] is process])

    def stop(self):
        self.end(self.running)
        for s in self.sockets:
            s.close()
        shutil.rmtree(self.dir, ignore_errors=True)

    # --- postfix ---

    @functools.cached_property
    def postfix(self):
        """The directory of its configuration; None: it can't be run. Its master runs for nobody but root: smtpd is started as master does it, and
        the one thing that it asks of another service, seed for its random numbers, is answered here."""
        if not find("/usr/lib/postfix/sbin/smtpd"):
            self.lacking["postfix"] = "postfix is not installed"
            return None
        others = [u for u in (pwd.getpwall()) if u.pw_name in ("daemon", "games", "nobody") and u.pw_uid != self.user.pw_uid
                  and u.pw_gid not in (0, self.user.pw_gid)]
        conf, queue = self.directory("postfix"), self.directory("queue")
        for name in ("private", "public", "pid"):
            self.directory("queue/" + name)
        self.file("postfix/master.cf", "")
        self.file("postfix/main.cf", "\n".join([
            "compatibility_level = 3.6", f"queue_directory = {queue}", f"data_directory = {self.directory('data')}",
            f"mail_owner = {self.user.pw_name}", f"default_privs = {others[0].pw_name}", "setgid_group = postdrop", "myhostname = mail.example.org",
            "mydestination =", "mynetworks = 127.0.0.0/8", "inet_protocols = ipv4", "alias_maps =", "alias_database =", "local_recipient_maps =",
            "smtpd_peername_lookup = no", "smtpd_client_event_limit_exceptions = static:all", "smtpd_tls_session_cache_database =",
            "smtpd_timeout = 10s", ""]))
        s = socket.socket(socket.AF_UNIX)
        s.bind(os.path.join(queue, "private", "tlsmgr"))
        self.own(os.path.join(queue, "private", "tlsmgr"), 0o700)
        s.listen(16)
        self.sockets.append(s)
        threading.Thread(target=self.tlsmgr, args=(s,), daemon=True).start()
        return conf

    @staticmethod
    def tlsmgr(listening):
        """Postfix's attributes, names and values that each end with a zero, and one more behind the last: what a server has to say first, then a seed
        that seeds nothing, and that sessions are not kept."""
        def attributes(*words):
            return b"".join(w + b"\0" for w in words) + b"\0"

        answers = {b"seed": attributes(b"status", b"0", b"seed", b"A" * 43 + b"="),
                   b"policy": attributes(b"status", b"0", b"cachable", b"0", b"timeout", b"0")}

        def serve(c):
            said = b""
            with c:
                c.sendall(attributes(b"protocol", b"tlsmgr_protocol"))
                while more := c.recv(4096):
                    said += more
                    if said.endswith(b"\0\0"):
                        words = said.split(b"\0")
                        c.sendall(answers.get(words[words.index(b"request") + 1], attributes(b"status", b"-1")))
                        said = b""
        while True:
            try:
                c, _ = listening.accept()
            except OSError:
                return
            threading.Thread(target=serve, args=(c,), daemon=True).start()

    def start_postfix(self, address, certs=(), **options):
        """One smtpd with these settings of main.cf."""
        if not self.postfix:
            return None
        if certs:
            chain, key = self.pem(*certs)
            options = {"smtpd_tls_cert_file": chain, "smtpd_tls_key_file": key, "smtpd_tls_security_level": "may", **options}
        s = socket.socket()
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        s.bind((address, self.port))
        s.listen(16)
        # master's contract: what flows in at 3 and 4, what it is told at 5, where connections come at 6.
        (flow_in, flow_out), (told, tell) = os.pipe(), os.pipe()
        handed = [fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 100) for fd in (flow_in, flow_out, tell, s.fileno())]
        command = ["bash", "-c", "exec 3<&{} 4>&{} 5>&{} 6<&{}; exec \"$@\"".format(*handed), "smtpd", "/usr/lib/postfix/sbin/smtpd", "-l", "-n", "smtp",
                   "-t", "inet", "-V"]
        for name, value in options.items():
            command += ["-o", f"{name}={value}"]
        p = self.spawn("postfix", command, [address], end=signal.SIGKILL, env={"MAIL_CONFIG": self.postfix}, pass_fds=handed)
        s.close()
        for fd in (flow_in, flow_out, tell, *handed):
            os.close(fd)
        # Closed, this end would say that master has died.
        self.sockets.append(os.fdopen(told, "rb"))
        return p

    # --- dovecot ---

    def start_dovecot(self, listeners, name="dovecot"):
        """`listeners`: (address, "imap" or "pop3", "starttls", "tls" or "off", certificates of its chain). One process for all of them."""
        program = find("dovecot")
        have = {p: find(f"/usr/lib/dovecot/{p}-login") for p in ("imap", "pop3")}
        if not program or not all(have.values()):
            self.lacking["dovecot"] = "dovecot-imapd and dovecot-pop3d are not installed"
            return None
        version = subprocess.run([program, "--version"], stdout=subprocess.PIPE, text=True, check=True).stdout
        new = tuple(int(x) for x in version.split(".")[:2]) >= (2, 4)  # its configuration is another one since then
        first = self.pem(*next(certs for _, _, how, certs in listeners if how != "off"))

        def ssl_files(chain, key):
            return f"ssl_server_cert_file = {chain}\nssl_server_key_file = {key}\n" if new else f"ssl_cert = <{chain}\nssl_key = <{key}\n"

        user, where = self.user.pw_name, self.directory(name)
        group = grp.getgrgid(self.user.pw_gid).gr_name
        text = "dovecot_config_version = 2.4.0\ndovecot_storage_version = 2.4.0\n" if new else ""
        text += (f"base_dir = {where}/run\nstate_dir = {where}\ninstance_name = {name}\nlog_path = {where}/log\nprotocols = imap pop3\n"
                 f"default_internal_user = {user}\ndefault_internal_group = {group}\ndefault_login_user = {user}\nssl = yes\n"
                 f"listen = {listeners[0][0]}\n{ssl_files(*first)}service anvil {{\n  chroot =\n}}\n")
        text += ("passdb static {\n  password = unused\n}\n" if new else "passdb {\n  driver = static\n  args = password=unused\n}\n")
        for protocol in ("imap", "pop3"):
            text += f"service {protocol}-login {{\n  chroot =\n"
            usual = [(protocol, "no"), (protocol + "s", "yes")]
            mine = [(a, how) for a, p, how, _ in listeners if p == protocol]
            for i, (a, how) in enumerate(mine):
                text += (f"  inet_listener {protocol}_{i} {{\n    {'listen' if new else 'address'} = {a}\n    port = {self.port}\n"
                         f"    ssl = {'yes' if how == 'tls' else 'no'}\n  }}\n")
            for listener, _ in usual:
                text += f"  inet_listener {listener} {{\n    port = 0\n  }}\n"
            text += "}\n"
        for a, _, how, certs in listeners:
            text += f"local {a} {{\n{'ssl = no' if how == 'off' else ssl_files(*self.pem(*certs))}\n}}\n"
        conf = self.file(name + ".conf", text)
        self.directory(name + "/run")
        return self.spawn(name, [program, "-F", "-c", conf], [a for a, _, _, _ in listeners])

    # --- PostgreSQL ---

    @functools.cached_property
    def postgres(self):
        """A database that can be copied, and the programs' directory; None."""
        initdb = find("/usr/lib/postgresql/*/bin/initdb")
        if not initdb:
            self.lacking["postgres"] = "postgresql is not installed"
            return None
        data = self.directory("postgres")
        self.run(initdb, "-D", data, "-A", "trust", "-U", "farm", "-E", "SQL_ASCII", "--locale=C", "--no-sync", "--no-instructions")
        return data, os.path.join(os.path.dirname(initdb), "postgres")

    def start_postgres(self, address, certs=(), name="a", client_ca=None):
        if not self.postgres:
            return None
        template, program = self.postgres
        data = os.path.join(self.dir, "postgres-" + name)
        self.run("cp", "-a", "--reflink=auto", template, data)
        settings = {"listen_addresses": address, "port": self.port, "unix_socket_directories": "", "fsync": "off", "max_connections": 8,
                    "max_wal_senders": 0, "shared_buffers": "1MB", "autovacuum": "off", "ssl": "on" if certs else "off"}
        if certs:
            settings["ssl_cert_file"], settings["ssl_key_file"] = self.pem(*certs)
        if client_ca:
            settings["ssl_ca_file"] = self.pem(client_ca)[0]
        command = [program, "-D", data]
        for k, v in settings.items():
            command += ["-c", f"{k}={v}"]
        return self.spawn("postgres-" + name, command, [address], end=signal.SIGQUIT)

    # --- slapd ---

    def start_slapd(self, plain=None, tls=None, certs=(), name="slapd"):
        """`plain`, `tls`: addresses for ldap:// and ldaps://."""
        program = find("slapd")
        if not program:
            self.lacking["slapd"] = "slapd is not installed"
            return None
        text = f"pidfile {self.dir}/{name}.pid\nargsfile {self.dir}/{name}.args\n"
        if certs:
            chain, key = self.pem(*certs)
            text += f"TLSCertificateFile {chain}\nTLSCertificateKeyFile {key}\n"
        urls = [f"ldap://{plain}:{self.port}/"] if plain else []
        urls += [f"ldaps://{tls}:{self.port}/"] if tls else []
        return self.spawn(name, [program, "-f", self.file(name + ".conf", text), "-h", " ".join(urls), "-d", "0"], [a for a in (plain, tls) if a],
                          end=signal.SIGKILL)

    # --- MariaDB ---

    def start_mariadb(self, address, certs):
        program = find("mariadbd", "mysqld")
        if not program:
            self.lacking["mariadb"] = "mariadb-server-core is not installed"
            return None
        data = self.directory("mariadb")
        chain, key = self.pem(*certs)
        return self.spawn("mariadb", [program, "--no-defaults", f"--datadir={data}", f"--socket={data}/socket", f"--pid-file={data}/pid",
                                      f"--bind-address={address}", f"--port={self.port}", "--skip-grant-tables", "--skip-name-resolve",
                                      "--skip-innodb", "--default-storage-engine=Aria", f"--ssl-cert={chain}", f"--ssl-key={key}"],
                          [address], end=signal.SIGKILL)
