const { Worker, isMainThread, parentPort, workerData } = require('worker_threads');
if (isMainThread) {
    let sum = 0, left = 4;
    for (let i = 0; i < 4; i++) {
        const worker = new Worker(__filename, { workerData: i });
        worker.on('message', (n) => { sum += n; });
        worker.on('exit', () => { if (--left === 0) console.log('sum', sum); });
    }
} else {
    let n = 0;
    for (let i = 0; i < 1e6; i++) n = (n * 31 + i + workerData) % 1000003;
    parentPort.postMessage(n);
}
