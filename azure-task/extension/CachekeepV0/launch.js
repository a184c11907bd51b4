'use strict';
// Starts the program `cachekeep` that lies beside this file. What the task does, the program does.
const { spawn } = require('child_process');
const fs = require('fs');
const os = require('os');
const path = require('path');
const zlib = require('zlib');

const place = `${process.platform}-${process.arch}`;
const name = process.platform === 'win32' ? 'cachekeep.exe' : 'cachekeep';

function isExecutable(file) {
    try {
        fs.accessSync(file, fs.constants.X_OK);
        return true;
    } catch {
        return false;
    }
}

// Packages of extensions keep no modes, and the task's folder may be read-only or belong to another user. In a package as it is
// published the programs are compressed.
function executable() {
    const beside = path.join(__dirname, 'bin', place, name);
    if (isExecutable(beside)) return beside;
    try {
        fs.chmodSync(beside, 0o755);
        return beside;
    } catch {
        const temp = process.env.AGENT_TEMPDIRECTORY || os.tmpdir();
        const copy = path.join(fs.mkdtempSync(path.join(temp, 'cachekeep-')), name);
        const compressed = `${beside}.br`;
        if (fs.existsSync(compressed)) fs.writeFileSync(copy, zlib.brotliDecompressSync(fs.readFileSync(compressed)));
        else fs.copyFileSync(beside, copy);
        fs.chmodSync(copy, 0o755);
        return copy;
    }
}

// A cache is never in the way of a job, unless it is required.
function giveUp(stage, why) {
    const fails = stage === 'main' && /^\s*true\s*$/i.test(process.env.INPUT_REQUIRED || '');
    const text = `cachekeep cannot be started on ${place}: ${why}`.replace(/%/g, '%AZP25').replace(/[\r\n]+/g, ' ');
    console.log(`##vso[task.logissue type=${fails ? 'error' : 'warning'};]${text}`);
    process.exitCode = fails ? 1 : 0;
}

module.exports = function launch(stage) {
    let program;
    try {
        program = executable();
    } catch (error) {
        return giveUp(stage, error.message);
    }
    // The pipeline's secrets are not for the program, nor for what it starts.
    const env = { ...process.env };
    for (const variable of Object.keys(env)) if (variable.startsWith('SECRET_')) delete env[variable];
    // The agent signals node alone; on Windows it signals all that share the console. Node listens before the program runs: a
    // signal in between would end node alone.
    let child;
    for (const signal of ['SIGINT', 'SIGTERM']) {
        process.on(signal, () => process.platform !== 'win32' && child.kill(signal));
    }
    child = spawn(program, ['task', stage], { env, stdio: 'inherit' });
    child.on('error', (error) => giveUp(stage, error.message));
    child.on('exit', (code, signal) => {
        process.exitCode = signal ? 128 + os.constants.signals[signal] : code;
    });
};
