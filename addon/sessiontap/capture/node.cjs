'use strict';
// Node loads this file before a program (NODE_OPTIONS=--require). It sends the program's HTTPS and HTTP connections to
// the proxy, also those of agents and libraries that know nothing of HTTPS_PROXY. Only where a connection leads is
// changed: sockets, TLS, options, events and time-outs stay Node's own.
//
// A connection is opened to the proxy, and a line with its destination goes before all else (destination_line.py).
// Nobody answers the line, so everything happens at once and in the same order as without this file.
//
// Two functions are replaced, below all HTTP libraries: tls.connect, and the createConnection of plain HTTP's agents.
// (For fetch in plain HTTP it is net.connect, for the one connection that undici announces.) If anything goes wrong here,
// the program's own call is made as it was. Old versions of Node load this file, too: no syntax of after 2018.

(function () {
  const LOADED = Symbol.for('sessiontap.capture');
  const OLDEST = 18;

  // The proxy that exec gave the program; null if the program is to use another one, or none.
  function proxy() {
    const url = process.env.SESSIONTAP_PROXY;
    if (!url || (process.env.HTTPS_PROXY || process.env.https_proxy) !== url) return null;
    const parts = /^http:\/\/(?:\[([^\]]+)\]|([^:/@]+)):(\d+)\/?$/.exec(url);
    return parts && { host: parts[1] || parts[2], port: Number(parts[3]) };
  }

  function isLoopback(host) {
    return /^(?:.+\.)?localhost$|^127\.|^::1$|^::ffff:127\.|^::$|^0\.0\.0\.0$/.test(host);
  }

  // Clouds' metadata, which programs look for to learn where they run.
  function isLinkLocal(host) {
    return /^169\.254\.|^fe[89ab][0-9a-f]:|^metadata\.google\.internal$/.test(host);
  }

  // The widest reading of NO_PROXY: what any program would take for an exception is one.
  function isExcepted(host, port, exceptions, net) {
    return exceptions.some(function (entry) {
      const parts = /^(?:\[([^\]]+)\]|([^:]*))(?::(\d+))?$/.exec(entry);
      if (parts && parts[3] && Number(parts[3]) !== port) return false;
      const name = (parts ? parts[1] || parts[2] : entry).replace(/^\*?\./, '');
      if (name === '*' || name === host || (name && host.endsWith('.' + name))) return true;
      if (isLoopback(name) && isLoopback(host)) return true;
      const range = /^([0-9a-f.:]+)\/(\d+)$/.exec(name);
      if (!range || !net.isIP(host) || !net.isIP(range[1])) return false;
      const list = new net.BlockList();
      list.addSubnet(range[1], Number(range[2]), net.isIP(range[1]) === 6 ? 'ipv6' : 'ipv4');
      return list.check(host, net.isIP(host) === 6 ? 'ipv6' : 'ipv4');
    });
  }

  // Where a connection with these options must be opened to; null: where it was going.
  function redirection(options, net) {
    const port = Number(options.port);
    // A socket of the program's own, a pipe, an address of its own choice at either end: the route is the program's.
    if (options.socket || options.path || options.lookup || options.localAddress || options.localPort) return null;
    if (typeof options.host !== 'string' || !options.host || !(port > 0 && port < 65536)) return null;
    const to = proxy();
    const host = options.host.toLowerCase().replace(/^\[|\]$/g, '').replace(/\.$/, '');
    if (!to || !/^[\x21-\x7e]{1,253}$/.test(host) || isLinkLocal(host)) return null;
    if (port === to.port && isLoopback(host)) return null;
    const exceptions = (process.env.NO_PROXY || process.env.no_proxy || '').toLowerCase().split(/[\s,]+/).filter(Boolean);
    if (isExcepted(host, port, exceptions, net)) return null;
    const named = net.isIP(host) === 6 ? '[' + host + ']' : host;
    return { host: to.host, port: to.port, line: 'SESSIONTAP-TO ' + named + ':' + port + '\r\n' };
  }

  // The arguments of tls.connect and net.connect: (options[, callback]) or (port[, host][, options][, callback]).
  function optionsOf(args) {
    const first = args[0];
    if (first !== null && typeof first === 'object') return Array.isArray(first) ? null : Object.assign({}, first);
    if (typeof first !== 'number' && !(typeof first === 'string' && /^\d+$/.test(first))) return null;
    const options = { port: first };
    if (typeof args[1] === 'string') options.host = args[1];
    return Object.assign(options, [args[1], args[2]].find(function (one) { return one && typeof one === 'object'; }));
  }

  function callbackOf(args) {
    const last = args[args.length - 1];
    return typeof last === 'function' ? last : undefined;
  }

  function install() {
    if (process[LOADED] || process.versions.bun || parseInt(process.versions.node, 10) < OLDEST || !proxy()) return;
    Object.defineProperty(process, LOADED, { value: true });
    const http = require('http');
    const net = require('net');
    const tls = require('tls');
    const connectTls = tls.connect;
    const connectNet = net.connect;
    const createConnection = http.Agent.prototype.createConnection;
    let announced = null; // by undici: the plain connection that it opens next

    // A connection of plain HTTP to the proxy in the place of the one that was asked for; null: it stays.
    function redirected(args) {
      const options = optionsOf(args);
      const way = options && redirection(options, net);
      if (!way) return null;
      const socket = connectNet.call(net, Object.assign(options, { host: way.host, port: way.port }), callbackOf(args));
      socket.write(way.line);
      return socket;
    }

    tls.connect = function connect(...args) {
      let raw = null;
      try {
        const options = optionsOf(args);
        const way = options && redirection(options, net);
        if (way) {
          raw = connectNet.call(net, {
            host: way.host,
            port: way.port,
            noDelay: options.noDelay,
            keepAlive: options.keepAlive,
            keepAliveInitialDelay: options.keepAliveInitialDelay,
          });
          raw.write(way.line);
          const secure = connectTls.call(this, Object.assign(options, { socket: raw }), callbackOf(args));
          raw.removeAllListeners('error'); // Node would report a failure to connect twice
          raw.on('error', function (error) {
            if (!secure.destroyed) secure.emit('error', error);
            secure.destroy();
          });
          if (options.timeout) secure.setTimeout(options.timeout); // Node leaves it to whoever gives a socket
          return secure;
        }
      } catch (error) {
        if (raw) raw.on('error', function () {}).destroy();
      }
      return connectTls.apply(this, args);
    };

    http.Agent.prototype.createConnection = function (...args) {
      let socket = null;
      try {
        // An agent that goes through a proxy by itself writes its requests for a proxy.
        if (!(this && this.options && this.options.proxyEnv)) socket = redirected(args);
      } catch (error) {
        socket = null;
      }
      return socket || createConnection.apply(this, args);
    };

    net.connect = net.createConnection = function connect(...args) {
      let socket = null;
      if (announced !== null) {
        const { host, port } = announced;
        announced = null;
        try {
          const options = optionsOf(args);
          if (options && options.host === host && Number(options.port) === port) socket = redirected(args);
        } catch (error) {
          socket = null;
        }
      }
      return socket || connectNet.apply(this, args);
    };

    require('diagnostics_channel').subscribe('undici:client:beforeConnect', function (message) {
      const to = message.connectParams;
      announced = to.protocol === 'http:' ? { host: to.hostname, port: Number(to.port) || 80 } : null;
    });

    require('module').syncBuiltinESMExports(); // for `import { connect } from 'node:tls'`
  }

  // Node 22 warns once, at its start, that it reads the proxy's variables (which Bun needs). The program did not ask for
  // that, and is not told. A warning of its own comes later.
  function keepQuiet() {
    if (!process.env.NODE_USE_ENV_PROXY) return;
    const emit = process.emit;
    function restore() {
      if (process.emit === quiet) process.emit = emit;
    }
    function quiet(name, warning) {
      if (name !== 'warning' || !warning || warning.code !== 'UNDICI-EHPA') return emit.apply(this, arguments);
      restore();
      return true;
    }
    process.emit = quiet;
    setImmediate(restore).unref();
  }

  try {
    keepQuiet();
    install();
  } catch (error) {
    // The program runs as it would without this file.
  }
})();
