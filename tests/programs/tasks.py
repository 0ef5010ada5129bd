import asyncio
async def wait(i):
    await asyncio.sleep(0.01 * i)
    return i
async def main():
    p = await asyncio.create_subprocess_exec("echo", "x", stdout=-1)
    print(await p.communicate())
    print(await asyncio.gather(*[wait(i) for i in range(5)]))
    loop = asyncio.get_running_loop()
    print(await loop.run_in_executor(None, sum, range(1000)))
asyncio.run(main())
